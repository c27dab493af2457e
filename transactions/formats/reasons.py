"""Why a line or a file cannot be used: a stable code and a sentence for each reason.

The code of a reason is its name in lower case. Codes are stored and documented, so
they never change; sentences may.
"""

from enum import Enum, unique

# What is kept of a refused line: all of the longest votes, so that staff can correct it.
RAW_CHARACTERS = 32_000


class _Reason(Enum):
    @property
    def code(self) -> str:
        """Return the stable name that is stored and documented."""
        return self.name.lower()

    def sentence(self, **details: object) -> str:
        """Return the sentence with `details` filled in."""
        return clean(str(self.value).format(**details))


@unique
class Reason(_Reason):
    """Why a line became a rejection."""

    # Any format of lines
    LINE_TOO_LONG = "The line is longer than {limit:,} bytes."
    WRONG_FIELD_COUNT = "The line has {found:,} fields where {expected} are expected."
    NOT_TEXT = "The field {field} is not valid UTF-8 text."
    EMPTY_ID = "The field {field} is empty."
    ID_TOO_LONG = "The field {field} is longer than {limit} characters."
    ID_WITH_NUL = "The field {field} contains a NUL character."
    CONTRACT_ID_NOT_USABLE = (
        "The contract id has characters other than letters, digits and “_.:~-”."
    )
    TIMESTAMP_NOT_A_NUMBER = "The time stamp is not a whole number of milliseconds."
    TIMESTAMP_OUT_OF_RANGE = "The time stamp lies outside the years 2000 to 2099."
    OPERATION_MISSING = "The transaction does not say which operation it calls."

    # Any source that names a contract per row
    UNKNOWN_CONSTITUENCY = (
        "No constituency has the contract {contract_id}: register it."
    )

    # Portal exports
    UNKNOWN_TYPE = "The transaction type is neither 103 nor 104."
    UNKNOWN_ROLLBACK = "The last field is neither empty nor -1."
    PARAMS_BROKEN_JSON = "The field params is not valid JSON: {error}."
    PARAMS_NOT_AN_ARRAY = "The field params is not a JSON array."
    PARAMS_ENTRY_WITHOUT_KEY = "An entry of the field params has no key."
    DIFF_BROKEN_JSON = "The field diff is not valid JSON: {error}."
    DIFF_NOT_AN_ARRAY = "The field diff is not a JSON array."
    DIFF_ENTRY_WITHOUT_KEY = "An entry of the field diff has no key."
    DATA_MISSING = "An accepted issue of ballots says in no data to whom."
    DATA_BROKEN_JSON = "The data of an issue of ballots is not valid JSON: {error}."
    DATA_NOT_AN_ARRAY = "The data of an issue of ballots is not a JSON array."
    VOTERS_BROKEN_JSON = "The userIdHashes of a register change are not JSON: {error}."
    VOTERS_NOT_AN_ARRAY = "The userIdHashes of a register change are not an array."

    # Plain columns
    QUOTES_NOT_CLOSED = "The quotation marks of the line do not match."
    BROKEN_JSON = "The line is not valid JSON: {error}."
    NOT_AN_OBJECT = "The line is not a JSON object."
    TIMESTAMP_NOT_UNDERSTOOD = (
        "The time stamp is neither ISO 8601 nor a whole number of milliseconds."
    )
    NAIVE_TIMESTAMP = "The time stamp has no offset from UTC."
    UNKNOWN_OUTCOME = "The outcome is none of accepted, failed, other."
    QUANTITY_NOT_A_NUMBER = "The quantity is not a whole number."
    QUANTITY_OUT_OF_RANGE = "The quantity does not fit the operation."
    ROLLED_BACK_NOT_UNDERSTOOD = "The column rolled_back is neither true nor false."
    POSITION_OUT_OF_RANGE = "The position is not a whole number from 0 to {most:,}."


@unique
class FileReason(_Reason):
    """Why a file or a member of an archive cannot be used at all."""

    NOT_FOUND = "There is no such file or folder."
    NOT_READABLE = "It cannot be opened or read: {error}."
    NOT_A_REGULAR_FILE = "It is neither a file nor a folder."
    LINK_LEAVES_ROOT = "The symbolic link leads out of the folder that is imported."
    UNKNOWN_KIND = "It is neither CSV, JSON lines, Parquet nor a zip archive of these."
    NAME_NOT_UNDERSTOOD = (
        "Its name does not say which contract it belongs to; expected is "
        "<contract id>_<YYYY-MM-DD>_<HHMM-HHMM>, <contract id>_dump or <contract id>."
    )
    INTERVAL_INCONSISTENT = "The date and hour {label} in its name are impossible."
    MANIFEST_UNREADABLE = "The manifest is no JSON object of names: {error}."
    FILE_TOO_LARGE = "It is larger than {limit:,} bytes."
    MISSING_COLUMN = "Its header lacks the column {column}."
    REPEATED_COLUMN = "Its header names the column {column} twice."
    BROKEN_PARQUET = "It is not a readable Parquet file: {error}."
    PARQUET_IN_ZIP = "A Parquet file has to be taken out of its zip archive first."
    BROKEN_ZIP = "The zip archive is damaged or cut off."
    ZIP_IN_ZIP = "It is a zip archive inside a zip archive; unpack the outer one."
    ZIP_ENCRYPTED = "It is encrypted."
    ZIP_METHOD_UNSUPPORTED = "It is compressed by a method other than deflate."
    ZIP_TOO_MANY_MEMBERS = "The zip archive has more than {limit:,} members."
    ZIP_BOMB = "It unpacks to more than {ratio} times its size."
    ZIP_OVERLAPPING = "The members of the zip archive overlap."
    ZIP_WITHOUT_EXPORT = "The zip archive holds no export."
    MEMBER_DAMAGED = "It is damaged: what it unpacks to is not what it declares."
    MEMBER_LARGER_THAN_DECLARED = "It unpacks to more than the {size:,} bytes declared."


def clean(text: str) -> str:
    """Return `text` as a database can store it: no NUL, no lone surrogates."""
    if text.isascii():
        return text.replace("\0", "")
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def excerpt(line: bytes) -> tuple[str, bool]:
    """Return a refused line fit for storing and showing, and whether it is cut."""
    # Four bytes are the longest character of UTF-8.
    start = line[: 4 * RAW_CHARACTERS]
    text = clean(start.decode("utf-8", "replace"))
    return text[:RAW_CHARACTERS], len(text) > RAW_CHARACTERS or len(line) > len(start)
