"""What a refused bulk says."""

import pytest
from pymongo.errors import BulkWriteError

from services.runtime.mongo import duplicate_indexes, is_unable

STEPPED_DOWN = {"code": 11602, "errmsg": "operation was interrupted"}
DUPLICATE = {"index": 1, "code": 11000}


def test_duplicates_are_told_by_their_place() -> None:
    """The rest is written."""
    assert duplicate_indexes(BulkWriteError({"writeErrors": [DUPLICATE], "writeConcernErrors": []})) == {1}


@pytest.mark.parametrize("errors", [[], [DUPLICATE]])
def test_what_no_majority_has_does_not_count_as_written(errors: list[dict[str, object]]) -> None:
    """A primary that steps down takes it back: it is written again, and told only then."""
    refusal = BulkWriteError({"writeErrors": errors, "writeConcernErrors": [STEPPED_DOWN]})
    assert is_unable(refusal)
    with pytest.raises(BulkWriteError):
        duplicate_indexes(refusal)
