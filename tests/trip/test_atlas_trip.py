"""ATLAS payloads through a real pilot and server: cause, the payload's own record and words, and the blame."""

from grid import Grid
from picard_pilot.diagnosis.catalogue.codes import BY_NAME

TRANSFORM = """
import json, sys
print("PyJobTransforms.trfExe INFO Starting execution of RAWtoALL")
says = "DBReplicaSvc ERROR Cannot find a valid frontier connection for COOLOFL_LAR"
with open("log.RAWtoALL", "w") as log:
    print(says, file=log)
    print('Py:Athena INFO leaving with code 65: "failure in an algorithm initialize"', file=log)
message = {"count": 1, "firstLine": 1, "message": says}
step = {"name": "RAWtoALL", "rc": 65, "statusOK": False, "logfileReport": {"details": {"ERROR": [message]}}}
json.dump({"exitCode": 65, "exitAcronym": "TRF_EXEC_FAIL", "exitMsg": "Non-zero return code from RAWtoALL (65)",
           "executor": [step], "resource": {"executor": {"RAWtoALL": {"nevents": 12}}}}, open("jobReport.json", "w"))
sys.exit(65)
"""

WRAPPER = """
import sys
print("=== start ===\\n=== execute ===\\n./fit.sh\\n=== result ===\\nexecute script: Running athena failed : 2")
sys.exit(40)
"""


def test_a_transform_and_a_code_40_job_explain_themselves(grid: Grid) -> None:
    """The conditions database is to blame for one, the user's code for the other; exit codes stay 65 and 40."""
    transform, wrapped = grid.submit_python(TRANSFORM), grid.submit_python(WRAPPER)
    assert grid.pilot("--jobs", "2", "--plugin", "atlas").wait(120) == 0, grid.output()[-3000:]

    assert grid.wait_status(transform, "finished", "failed") == "failed"
    errors = grid.errors(transform)
    assert errors["payload"][0] == 65
    assert errors["pilot"][0] == BY_NAME["FRONTIER"].number
    code, diag = errors["exe"]
    assert code == 65
    assert diag.startswith(
        "TRF_EXEC_FAIL: Non-zero return code from RAWtoALL (65): log.RAWtoALL line 1: DBReplicaSvc"
    )
    assert grid.job(transform)["usage"]["n_events"] == 12
    assert "payloadEndedBy=itself" in grid.job(transform)["usage"]["job_metrics"]

    assert grid.wait_status(wrapped, "finished", "failed") == "failed"
    errors = grid.errors(wrapped)
    assert errors["payload"][0] == 40
    code, diag = errors["pilot"]
    assert code == BY_NAME["PAYLOADEXECUTIONFAILURE"].number
    assert diag.startswith(
        "the user's Athena failed with status 2; exit code 40 is only the wrapper's word for that"
    )
