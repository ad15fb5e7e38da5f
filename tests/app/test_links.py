"""Files inside links."""

import base64

from app.links import file_link_html


def test_link_holds_the_file_and_its_name_is_escaped() -> None:
    link = file_link_html("Save <this>", 'a"b.csv', "text/csv", b"1,2\n")
    assert base64.b64encode(b"1,2\n").decode() in link
    assert 'download="a&quot;b.csv"' in link
    assert ">Save &lt;this&gt;</a>" in link
