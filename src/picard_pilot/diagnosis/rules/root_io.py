"""Rules for ROOT reading and writing files: missing, damaged and cut ones, and those that no storage gives.

What the XRootD client says under ROOT is in `xrootd`; code that ROOT cannot load is in `software`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="root.no_file",
        error="MISSINGINPUTFILE",
        where=Where.LOGS,
        when=r"Error in <T(?:WebFile|File|DCacheFile|XNetFile|ChainElement)[:\w]*>: file (?P<file>\S+) "
        r"does not exist|"
        r"file (?P<url>\S+) can not be opened for reading",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="ROOT did not find a file that the payload opens",
        advice="Check the name against the job's inputs: the payload opens it by the name that the "
        "evidence shows.",
        sample="Error in <TFile::TFile>: file /srv/events.root does not exist",
        counter_sample="Info in <TFile::TFile>: file /srv/events.root opened",
    ),
    Rule(
        name="root.damaged",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"Error in <T(?:File|NetXNGFile)::Init>: .*(?:not a ROOT file|incorrect header|truncated)|"
        r"Error in <T(?:Basket|File|Key|BufferFile|Buffer|TreeCache)\w*::\w+>: "
        r".*(?:unzip|fNbytes|inflat|checksum|corrupt|"
        r"wrong|too large)|Error R__unzip|R__unzipLZMA: error|object of class \S+ read too (?:many|few) "
        r"bytes",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        retry=Retry.ELSEWHERE,
        says="ROOT finds a file damaged that the payload reads",
        advice="Check the file's checksum against the catalogue and report the replica as bad; another may "
        "be good.",
        sample="Error R__unzip_header: error in header.  Values: 7b4c\n"
        "Error in <TBasket::ReadBasketBuffers>: fNbytes = 3010, fKeylen = 81, fObjlen = 8000, noutot = 0, "
        "error",
        counter_sample="Warning in <TFile::Init>: file a.root has 0 entries",
    ),
    Rule(
        name="root.not_closed",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"<TFile::Init>: file (?P<file>\S+) (?:probably not closed|has no keys)|"
        r"<TFile::Recover>: \S+, (?:no keys recovered|recovered key)",
        is_pattern=True,
        in_warnings=True,
        specificity=Specificity.HINT,
        blame=Blame.USER_INPUT,
        says="a ROOT file that the payload reads was not closed by whoever wrote it",
        advice="Find the job that wrote the file; what it holds may not be all.",
        sample="Warning in <TFile::Init>: file /srv/events.root probably not closed, trying to recover",
        counter_sample="Info in <TFile::Close>: file /srv/events.root closed",
    ),
    Rule(
        name="root.read",
        error="REMOTEFILECOULDNOTBEOPENED",
        where=Where.LOGS,
        when=r"Error in <T\w*File::ReadBuffers?>: error reading all requested bytes|"
        r"SysError in <T\w*File::(?:ReadBuffer|Seek)>|Error in <TDavixFile::\w+>: (?:can "
        r"not|failed|Get|read)",
        is_pattern=True,
        specificity=Specificity.FAILURE + 1,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        says="ROOT could not read from a file that it had opened",
        advice="Check the storage that the file is on, and the network to it; a copy of the input instead "
        "may help.",
        sample="Error in <TFile::ReadBuffer>: error reading all requested bytes from file /data/a.root, "
        "got 0 of 300",
        counter_sample="Info in <TFile::ReadBuffer>: read 300 bytes",
    ),
    Rule(
        name="root.write",
        error="FILEHANDLINGFAILURE",
        where=Where.LOGS,
        when=r"(?:Sys)?Error in <T\w*File::(?:WriteBuffer|Flush|Write|WriteHeader)>: error "
        r"(?:writing|flushing)|"
        r"Error in <TBranch::(?:WriteBasketImpl|TBranch::Fill|Fill)>: |Error in <TTree::Fill>: Failed "
        r"filling branch",
        is_pattern=True,
        specificity=Specificity.FAILURE + 2,
        says="ROOT could not write an output",
        advice="Check the node's disk and the account's quota at that time.",
        sample="SysError in <TFile::WriteBuffer>: error writing to file hist.root (-1) (Bad file descriptor)",
        counter_sample="Info in <TFile::WriteBuffer>: hist.root flushed",
    ),
    Rule(
        name="root.no_tree",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"Error in <T(?:Chain|TreeReader|Tree|ChainElement)::\w+>: .*(?:[Cc]annot find "
        r"(?:tree|branch)|does not have|"
        r"does not exist|unknown branch|The branch \S+ (?:contains|was not found))|Unknown columns?: |"
        r"Error in <TTreeReader\w+::[\w()]+>: ",
        is_pattern=True,
        specificity=Specificity.FAILURE + 2,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the payload asks a ROOT file for a tree or branch that is not in it",
        advice="Compare the names with the file's (`rootls -t FILE`); the input's format may be of another "
        "version.",
        sample="Error in <TTreeReaderValueBase::CreateProxy()>: The branch Muon_pt was not found",
        counter_sample="Info in <TChain::Add>: tree Events found",
    ),
    Rule(
        name="root.fatal",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^Fatal in <[\w:<>~ ]+>: ",
        is_pattern=True,
        specificity=Specificity.FAILURE - 2,
        blame=Blame.PAYLOAD,
        says="ROOT ended the program with a fatal error",
        advice="The evidence has ROOT's words; look at the lines above them in the log.",
        sample="Fatal in <TClass::BuildRealData>: Inconsistent class Track",
        counter_sample="Info in <TClass::BuildRealData>: done",
    ),
)
