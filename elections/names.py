"""Names as published differ in spacing, quotes and look-alike letters; compare these."""

import re
import unicodedata

_CYRILLIC = re.compile("[\u0400-\u04ff]")
_UNIFIED = str.maketrans(dict.fromkeys("«»„“”‟‘’‚‛‹›`´ʼ′″'", '"'))
# Soft hyphen, zero-width space and joiners, word joiner, byte order mark.
_UNIFIED |= dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), "")
_LOOK_ALIKES = str.maketrans("ABCEHKMOPTXYaceopxy", "АВСЕНКМОРТХУасеорху")


def normalise(name: str) -> str:
    """Return `name` in the form that names are compared in; never shown.

    Blanks, case, quotation marks and invisible characters make no difference, nor do
    Latin letters that look Cyrillic in a name that has Cyrillic ones.
    """
    text = unicodedata.normalize("NFKC", name).translate(_UNIFIED)
    if _CYRILLIC.search(text):
        text = text.translate(_LOOK_ALIKES)
    return " ".join(text.casefold().split())
