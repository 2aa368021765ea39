"""Copy or direct access: the rule, branch by branch."""

import pytest

from picard_pilot.data.choice import choose, may_be_direct, payload_address
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import InputAccess, Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Endpoint, Queue
from picard_pilot.model.transfer import Source, SourceKind

LIMIT = 1000
"""The queue's threshold in these tests, in bytes."""


def case(
    lfn="AOD.pool.root.1",
    size=LIMIT + 1,
    token=None,
    kind=SourceKind.SITE,
    scheme="root",
    endpoint="DATADISK",
    lan=True,
    wan=False,
    transfer_type=None,
    access=None,
    free=10**9,
    policy=None,
    label="user",
    query="",
):
    """The arguments of `choose`, all well for a direct access unless said otherwise."""
    return {
        "file": FileSpec(lfn=lfn, role=FileRole.INPUT, size_bytes=size, token=token),
        "source": Source(
            surl=f"{scheme}://door//{lfn}{query}", endpoint=Endpoint(name=endpoint), kind=kind, reason="test"
        ),
        "job": Job(job_id=1, attempt_nr=1, label=label, transfer_type=transfer_type, input_access=access),
        "queue": Queue(
            name="Q",
            panda_resource="Q",
            direct_access_lan=lan,
            direct_access_wan=wan,
            direct_access_threshold_bytes=LIMIT,
        ),
        "free_bytes": free,
        "policy": policy or InputPolicy(),
    }


TABLE = [
    # by size
    ({}, True, "more than the queue's 1000"),
    ({"size": LIMIT}, False, "not more than the queue's 1000"),
    ({"size": None}, False, "size is not known"),
    # never
    ({"lfn": "user.jdoe.0101.lib._12.lib.tgz"}, False, "archives and libraries"),
    ({"lfn": "DBRelease-31.8.1.tar.gz"}, False, "archives and libraries"),
    ({"lfn": "HITS.tgz.1"}, False, "archives and libraries"),
    ({"lfn": "EVNT.zip"}, False, "archives and libraries"),
    ({"lfn": "data11_7TeV.00182456.physics.RAW._0001.1"}, False, "raw data"),
    ({"lfn": "RAW.123._0001"}, False, "raw data"),
    ({"lfn": "straw.library.root"}, True, "more than"),
    ({"token": "local"}, False, "prodDBlockToken=local"),
    ({"token": "ATLASDATADISK"}, True, "more than"),
    ({"policy": InputPolicy(allow_direct=False)}, False, "experiment"),
    ({"kind": SourceKind.NODE, "scheme": "file"}, False, "on the node anyway"),
    ({"endpoint": "MCTAPE"}, False, "tape"),
    # what the queue permits
    ({"lan": False}, False, "direct_access_lan"),
    ({"lan": None}, False, "direct_access_lan"),
    ({"lan": False, "wan": True}, False, "direct_access_lan"),
    ({"kind": SourceKind.LAN}, True, "more than"),
    ({"kind": SourceKind.WAN}, False, "direct_access_wan"),
    ({"kind": SourceKind.WAN, "wan": True}, True, "more than"),
    ({"kind": SourceKind.ALTERNATIVE}, False, "direct_access_wan"),
    ({"kind": SourceKind.FEDERATION, "wan": True, "lan": False}, True, "more than"),
    # schemes
    *[
        ({"scheme": scheme}, True, "more than")
        for scheme in ("file", "dcap", "dcache", "https", "davs", "ROOT")
    ],
    *[({"scheme": scheme}, False, f"cannot read {scheme}://") for scheme in ("srm", "s3", "http", "gsiftp")],
    *[
        ({"kind": SourceKind.WAN, "wan": True, "scheme": scheme}, direct, "")
        for scheme, direct in (("root", True), ("https", True), ("file", False), ("dcap", False))
    ],
    ({"lfn": "a b.root"}, False, "blanks"),
    ({"lfn": "a\nb.root"}, False, "blanks"),
    ({"query": "?X-Amz-Signature=0a1b&X-Amz-Date=2"}, False, "signature or token"),
    ({"query": "?authz=Bearer%20ey"}, False, "signature or token"),
    ({"query": "?svcClass=disk"}, True, "more than"),
    # the job's own wish
    ({"size": 1, "transfer_type": "direct"}, True, "transferType=direct"),
    ({"size": None, "transfer_type": "direct"}, True, "transferType=direct"),
    ({"transfer_type": "fax"}, True, "more than"),
    ({"size": 1, "access": InputAccess.DIRECT}, True, "in its parameters"),
    ({"access": InputAccess.COPY}, False, "in its parameters"),
    ({"access": InputAccess.COPY, "transfer_type": "direct"}, False, "in its parameters"),
    ({"access": InputAccess.COPY, "free": 0}, False, "in its parameters"),
    ({"access": InputAccess.DIRECT, "lan": False}, False, "direct_access_lan"),
    ({"access": InputAccess.DIRECT, "lfn": "a.tar"}, False, "archives"),
    # room on scratch
    ({"size": 500, "free": 499}, True, "do not fit into the 499"),
    ({"size": 500, "free": 500}, False, "not more than"),
    ({"size": 500, "free": None}, False, "not more than"),
    ({"size": 500, "free": 499, "lan": False}, False, "direct_access_lan"),
]


@pytest.mark.parametrize("label", ["user", "managed"])
@pytest.mark.parametrize(("circumstances", "direct", "words"), TABLE)
def test_the_rule(circumstances, direct, words, label):
    """Every branch decides alike for user and production jobs, and says why."""
    choice = choose(**case(**circumstances, label=label))

    assert choice.direct is direct
    assert words in choice.reason
    assert choice.reason.startswith("read directly: " if direct else "copied: ")


@pytest.mark.parametrize(
    ("circumstances", "may"),
    [
        ({"size": 1}, True),
        ({"size": None}, True),
        ({"lan": False}, False),
        ({"lfn": "a.tgz"}, False),
        ({"access": InputAccess.COPY}, False),
        ({"access": InputAccess.DIRECT}, True),
    ],
)
def test_what_may_be_read_directly_when_it_cannot_be_copied(circumstances, may):
    """A full disk forces nothing that the queue or the job forbids."""
    arguments = case(**circumstances)
    del arguments["free_bytes"]

    assert may_be_direct(**arguments) is may


@pytest.mark.parametrize(
    ("surl", "turl"),
    [
        ("root://door:1094//a/b", "root://door:1094//a/b"),
        ("davs://door:443/a", "https://door:443/a"),
        ("file:///a/b%20c", "file:///a/b%20c"),
    ],
)
def test_the_address_for_the_payload(surl, turl):
    """No input library knows the scheme of WebDAV."""
    assert payload_address(surl) == turl
