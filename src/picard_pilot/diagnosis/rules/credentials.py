"""Rules for credentials that payloads use by themselves and that are missing, expired or not trusted."""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="credentials.proxy_expired",
        error="CERTIFICATEHASEXPIRED",
        where=Where.LOGS,
        when=r"[Pp]roxy (?:certificate )?(?:has |is )?expired|[Cc]ertificate (?:has |is "
        r")?expired|certificate_expired|"
        r"[Cc]redential(?:s)? (?:has |have |is )?expired|Your proxy .* expired",
        is_pattern=True,
        specificity=Specificity.CAUSE + 6,
        says="a proxy or certificate that the payload uses has expired",
        advice="Renew it where the pilots get it from; for a server's certificate, ask the server's keepers.",
        sample="ERROR: Proxy certificate expired: Error: your proxy has expired",
        counter_sample="proxy expires in 71 hours",
    ),
    Rule(
        name="credentials.token_expired",
        error="CERTIFICATEHASEXPIRED",
        where=Where.LOGS,
        when=r"[Tt]oken (?:has |is )?expired|ExpiredToken|ExpiredSignatureError|Signature has expired|jwt "
        r"expired|"
        r"token is past its expir|invalid_token.*expired",
        is_pattern=True,
        specificity=Specificity.CAUSE + 6,
        blame=Blame.PAYLOAD,
        says="a token that the payload uses has expired",
        advice="Let the payload read its token anew before each transfer (BEARER_TOKEN_FILE): the pilot "
        "keeps it fresh.",
        sample='HTTP/1.1 401 Unauthorized: {"error": "invalid_token", "error_description": "Token expired"}',
        counter_sample="token expires in 3600 s",
    ),
    Rule(
        name="credentials.no_proxy",
        error="NOPROXY",
        where=Where.LOGS,
        when=r"[Pp]roxy (?:file |certificate )?(?:/\S+ )?(?:was )?not found|Couldn't find (?:a )?valid "
        r"proxy|No valid "
        r"(?:grid )?proxy|"
        r"cannot find (?:user )?(?:proxy|credential)|X509_USER_PROXY.*(?:not set|does not exist|No such "
        r"file)|"
        r"Failed to find (?:a )?(?:proxy|user credential)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 5,
        blame=Blame.EXPERIMENT,
        says="the payload found no grid proxy",
        advice="A payload gets the pilot's credential only if its experiment asks for it (the hook "
        "`credentials`).",
        sample="Couldn't find a valid proxy.",
        counter_sample="found proxy /tmp/x509up_u1000",
    ),
    Rule(
        name="credentials.voms",
        error="NOVOMSPROXY",
        where=Where.LOGS,
        when=r"(?:[Nn]o|without|[Mm]issing) VOMS (?:attributes|extensions?)|VOMS "
        r"(?:extensions?|attributes?).*(?:expired|"
        r"missing|not found|has no)|Cannot find AC_issuer certificate|verification of VOMS .* failed",
        is_pattern=True,
        specificity=Specificity.CAUSE + 6,
        says="the proxy that the payload uses has no valid VOMS attributes",
        advice="Make the proxy with voms-proxy-init and the experiment's VO; check the node's vomsdir.",
        sample="Error: proxy contains no VOMS attributes: VOMS extension not found!",
        counter_sample="VOMS attributes: /vo.example.org/Role=production",
    ),
    Rule(
        name="credentials.not_trusted",
        error="CERTIFICATEHASEXPIRED",
        where=Where.LOGS,
        when=r"CERTIFICATE_VERIFY_FAILED|SSL certificate problem|unable to get (?:local )?issuer certificate|"
        r"curl: \((?:60|77)\)|certificate verify failed|CRL has expired|self[- ]signed certificate in "
        r"certificate chain",
        is_pattern=True,
        specificity=Specificity.CAUSE + 4,
        retry=Retry.ELSEWHERE,
        says="the payload could not verify a server's certificate",
        advice="Check the node's certificates of authorities and revocation lists (X509_CERT_DIR, "
        "fetch-crl), its clock, "
        "and the server's certificate.",
        sample="curl: (60) SSL certificate problem: unable to get local issuer certificate",
        counter_sample="server certificate verification OK",
    ),
    Rule(
        name="credentials.kerberos",
        error="MISSINGCREDENTIALS",
        where=Where.LOGS,
        when=r"kinit: |No Kerberos credentials available|Ticket expired while|klist: No credentials cache "
        r"found",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the payload wants Kerberos credentials, which jobs on the grid do not have",
        advice="Read through a storage that takes tokens or proxies instead of AFS or EOS by Kerberos.",
        sample="klist: No credentials cache found (filename: /tmp/krb5cc_1000)",
        counter_sample="klist: 1 ticket",
    ),
)
