"""Rules for what http and S3 clients say in payloads that fetch or store by themselves: curl, wget, requests, boto.

The pilot's own transfers are classified where they happen, in `movers`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_WAY = "Check that nodes of this site may reach the host, directly or by the site's proxy; not all sites allow it."

RULES: tuple[Rule, ...] = (
    Rule(
        name="http.missing",
        error="MISSINGINPUTFILE",
        where=Where.LOGS,
        when=r"curl: \(22\).* 4(?:04|10)\b|ERROR 4(?:04|10): |requests\.exceptions\.HTTPError: 4(?:04|10) |"
        r"urllib\.error\.HTTPError: HTTP Error 4(?:04|10)|Error: HTTP 404 : ",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="a web server has no such file as the payload fetches",
        advice="Check the address in the payload or the job's parameters.",
        sample="curl: (22) The requested URL returned error: 404",
        counter_sample="HTTP/1.1 200 OK",
    ),
    Rule(
        name="http.forbidden",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=r"curl: \(22\).* 40[13]\b|ERROR 40[13]: |requests\.exceptions\.HTTPError: 40[13] |"
        r"urllib\.error\.HTTPError: HTTP Error 40[13]|Error: HTTP 40[13] : |Username/Password "
        r"Authentication Failed",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a web server refused the payload, or its credential",
        advice="Ask the server's admins whom it refused and why; look whether the payload has a credential for it, "
        "and for what.",
        sample="requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: "
        "https://se.example.org/a.root",
        counter_sample="HTTP/1.1 200 OK",
    ),
    Rule(
        name="http.server_error",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"curl: \(22\).* 5\d\d\b|ERROR 5\d\d: |requests\.exceptions\.HTTPError: (?:5\d\d|429) |"
        r"urllib\.error\.HTTPError: HTTP Error 5\d\d|Error: HTTP 5\d\d : |too many 50\d error responses",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        retry=Retry.HERE,
        says="a web server that the payload asks failed",
        advice="Try again later; ask the server's keepers if it lasts.",
        sample="wget: server returned error\n2026-11-02 10:00:00 ERROR 503: Service Unavailable.",
        counter_sample="HTTP/1.1 200 OK",
    ),
    Rule(
        name="http.no_address",
        error="UNREACHABLENETWORK",
        where=Where.LOGS,
        when=r"[Cc]ould not resolve (?:host|proxy)|unable to resolve host address|Name or service not known|"
        r"Temporary failure in name resolution|NameResolutionError|nodename nor servname provided",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a host's name could not be resolved on the node",
        advice="Check the host's name in the job's parameters, and the node's name service "
        "(/etc/resolv.conf).",
        sample="curl: (6) Could not resolve host: data.example.org",
        counter_sample="resolved data.example.org to 192.0.2.1",
    ),
    Rule(
        name="http.refused",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"curl: \(7\)|Failed to establish a new connection.*Connection refused|: Connection refused$|"
        r"failed: Connection refused\.|ConnectionRefusedError|\[Errno 111\]",
        is_pattern=True,
        specificity=Specificity.CAUSE - 2,
        says="a service that the payload uses refused the connection",
        advice=_WAY,
        sample="curl: (7) Failed to connect to data.example.org port 443 after 3 ms: Connection refused",
        counter_sample="connected to data.example.org port 443",
    ),
    Rule(
        name="http.unreachable",
        error="UNREACHABLENETWORK",
        where=Where.LOGS,
        when=r"[Nn]etwork is unreachable|No route to host|\[Errno 10[01]\]|\[Errno 113\]",
        is_pattern=True,
        specificity=Specificity.CAUSE + 1,
        says="there is no way in the network from the node to a host that the payload uses",
        advice=_WAY,
        sample="wget: connect to data.example.org port 443: Network is unreachable",
        counter_sample="network: eth0 up",
    ),
    Rule(
        name="http.timeout",
        error="STAGEINTIMEOUT",
        where=Where.LOGS,
        when=r"curl: \(28\)|requests\.exceptions\.(?:ConnectTimeout|ReadTimeout|Timeout)|[Cc]onnection "
        r"timed out|"
        r"ConnectTimeoutError|ReadTimeoutError|TimeoutError: \[Errno 110\]",
        is_pattern=True,
        specificity=Specificity.CAUSE - 1,
        says="a service did not answer the payload in time",
        advice="Check whether the service is slow; the job may work later or at another site.",
        sample="curl: (28) Operation timed out after 300000 milliseconds with 0 bytes received",
        counter_sample="timeout is 300 s",
    ),
    Rule(
        name="http.broken_off",
        error="STAGEINFAILED",
        where=Where.LOGS,
        when=r"curl: \((?:18|52|55|56|92)\)|ChunkedEncodingError|IncompleteRead\(|ConnectionResetError|"
        r"[Cc]onnection reset by peer|RemoteDisconnected",
        is_pattern=True,
        specificity=Specificity.FAILURE + 5,
        retry=Retry.ELSEWHERE,
        says="a transfer by the payload was broken off by the other side",
        advice="Try again; check the storage and what stands between it and the node if it happens often.",
        sample="curl: (56) Recv failure: Connection reset by peer",
        counter_sample="transfer done, 120 MB",
    ),
    Rule(
        name="s3.missing",
        error="MISSINGINPUTFILE",
        where=Where.LOGS,
        when=r"An error occurred \((?:NoSuchKey|NoSuchBucket|404)\)|<Code>NoSuch(?:Key|Bucket)</Code>",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        says="the object store has no such bucket or key as the payload asks for",
        advice="Check bucket and key in the payload or the job's parameters.",
        sample="botocore.errorfactory.NoSuchKey: An error occurred (NoSuchKey) when calling the GetObject "
        "operation: The "
        "specified key does not exist.",
        counter_sample="An object was stored (key a.root)",
    ),
    Rule(
        name="s3.forbidden",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=r"An error occurred "
        r"\((?:AccessDenied|403|InvalidAccessKeyId|SignatureDoesNotMatch|AllAccessDisabled)\)|"
        r"<Code>(?:AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch)</Code>",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the object store refused the payload's keys",
        advice="Ask who runs the store for the bucket's policy; look which keys the payload has.",
        sample="botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the "
        "PutObject operation: "
        "Access Denied",
        counter_sample="An object was stored (access granted)",
    ),
    Rule(
        name="s3.clock",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=r"RequestTimeTooSkewed",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the node's clock is wrong, so that the object store refused the payload",
        advice="Set the node's clock (chronyc tracking).",
        sample="botocore.exceptions.ClientError: An error occurred (RequestTimeTooSkewed) when calling the "
        "GetObject "
        "operation: The difference between the request time and the current time is too large.",
        counter_sample="request time 0.2 s",
    ),
    Rule(
        name="s3.no_keys",
        error="MISSINGCREDENTIALS",
        where=Where.LOGS,
        when=r"NoCredentialsError|Unable to locate credentials|PartialCredentialsError",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.EXPERIMENT,
        says="the payload has no keys for the object store",
        advice="Let the experiment's hook `credentials` give the payload the keys that it needs.",
        sample="botocore.exceptions.NoCredentialsError: Unable to locate credentials",
        counter_sample="credentials found in the environment",
    ),
    Rule(
        name="s3.unavailable",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"An error occurred \((?:SlowDown|ServiceUnavailable|InternalError|503|500|RequestTimeout)\)|"
        r"EndpointConnectionError",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        blame=Blame.STORAGE,
        retry=Retry.HERE,
        says="the object store that the payload uses could not be reached, or was too busy",
        advice="Try again later, with fewer requests at a time.",
        sample="botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "
        '"https://s3.example.org"',
        counter_sample="endpoint https://s3.example.org",
    ),
    Rule(
        name="http.full",
        error="NOREMOTESPACE",
        where=Where.LOGS,
        when=r"curl: \(22\).* 507\b|HTTP(?:/[\d.]+)? 507|507 (?:Server Error: )?Insufficient Storage",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        says="a storage that the payload writes to is full",
        advice="Free space there, or let the pilot store outputs: it has other destinations.",
        sample="curl: (22) The requested URL returned error: 507 Insufficient Storage",
        counter_sample="507 MB uploaded",
    ),
)
