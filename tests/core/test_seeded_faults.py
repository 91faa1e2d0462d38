"""The faults of tests/seeded_faults.py can still be made: their texts stand where they stood."""

from seeded_faults import FAULTS


def test_each_text_stands_once_in_the_package():
    gone = []
    for fault in FAULTS:
        try:
            fault.file()
        except ValueError as error:
            gone.append(str(error))
    assert len(FAULTS) == 20 and not gone, "\n".join(gone)
