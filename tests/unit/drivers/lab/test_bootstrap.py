"""Where packages come from: the machine's own mirrors, re-pointed."""

from pathlib import Path

from drivers.lab import bootstrap
from drivers.lab.bootstrap import passed_on, repoint

DATA = Path(__file__).parents[3] / "data" / "lab"
# as `apt-get indextargets` prints them; a field that a source does not set keeps its placeholder
LISTING = """http://mirror.example/debian/|bookworm|/usr/share/keyrings/debian-archive-keyring.gpg
http://mirror.example/debian/|bookworm-updates|$(SIGNED_BY)
http://mirror.example/debian/|bookworm-updates|$(SIGNED_BY)
http://mirror.example/debian-security/|bookworm-security|$(SIGNED_BY)
http://mirror.example/debian/|bookworm-backports|$(SIGNED_BY)
https://packages.example/node|nodistro|/usr/share/keyrings/node.gpg
https://packages.example/cloud|cloud-sdk-bookworm|$(SIGNED_BY)
""".splitlines()


def test_sources_of_another_release_at_the_same_mirrors():
    assert repoint(LISTING, "bookworm", "trixie") == [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian/ trixie main",
        "deb http://mirror.example/debian/ trixie-updates main",
        "deb http://mirror.example/debian-security/ trixie-security main",
    ]


def test_sources_of_another_distribution_are_no_sources():
    assert repoint(LISTING, "noble", "trixie") == []
    assert repoint(["", "garbage"], "bookworm", "trixie") == []


def test_what_reaches_a_mirror_is_passed_on():
    proxy = 'Acquire::http::Proxy "http://proxy.example:3128";'
    kept = passed_on((DATA / "apt-config-dump.txt").read_text() + proxy + "\n")
    assert proxy in kept
    assert 'Acquire::Check-Valid-Until "false";' in kept
    assert all(line.startswith("Acquire::") and line.endswith(";") for line in kept)
    assert not any("Changelogs" in line or "cdrom" in line for line in kept)


def test_this_machines_own_sources_can_be_read():
    assert all(line.startswith("deb ") and line.endswith(" main") for line in bootstrap.mirrors("trixie"))


def test_data_files_have_comments_and_tags():
    listed = bootstrap.lines("# no\n\nearly: a b\nplain\nearly: c\n")
    assert listed == ["early: a b", "plain", "early: c"]
    assert bootstrap.tagged(listed, "early") == ["a", "b", "c"]
