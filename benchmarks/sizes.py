"""How much each benchmark loads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of rows, files and bytes of one run."""

    name: str
    # Of interleaved measurements; one more is made before and thrown away.
    pairs: int
    prepared_chunks: int
    large_files: int
    large_file_rows: int
    small_zips: int
    recompute_rows: int
    growth_start_rows: int
    # Rows of the large ledger, and the share of the load rate that has to be left.
    growth_steps: tuple[tuple[int, float], ...]
    memory_file_bytes: int
    listeners: int


QUICK = Sizes(
    name="quick (no verdict: too few rows)",
    pairs=3,
    prepared_chunks=1,
    large_files=4,
    large_file_rows=10_000,
    small_zips=276,
    recompute_rows=200_000,
    growth_start_rows=60_000,
    growth_steps=((180_000, 0.6),),
    memory_file_bytes=60_000_000,
    listeners=20,
)
DEFAULT = Sizes(
    name="default",
    pairs=7,
    prepared_chunks=5,
    # The workers take 2 s to start. Of a whole election that is nothing; here it is
    # part of the measured time, so the files must not be too few.
    large_files=24,
    large_file_rows=12_500,
    small_zips=2_000,
    recompute_rows=2_000_000,
    growth_start_rows=1_000_000,
    growth_steps=((3_000_000, 0.6),),
    memory_file_bytes=300_000_000,
    listeners=1_000,
)
FULL = Sizes(
    name="full",
    pairs=9,
    prepared_chunks=10,
    large_files=48,
    large_file_rows=12_500,
    small_zips=20_000,
    recompute_rows=10_000_000,
    growth_start_rows=1_000_000,
    growth_steps=((10_000_000, 0.6), (30_000_000, 0.5)),
    memory_file_bytes=2_000_000_000,
    listeners=1_000,
)
