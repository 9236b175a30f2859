"""Makes half of what schemathesis sends to the webhook authentic, so that its bodies are looked at, too."""

import hashlib
import time
import zlib

import schemathesis

APP, TOKEN = "1400000001", "a-token"


@schemathesis.hook
def before_call(context, case, kwargs):
    seed = zlib.crc32(repr((case.query, case.body)).encode("utf-8", "replace"))
    if case.path != "/" or case.method.upper() != "POST" or seed % 2:
        return
    now = str(int(time.time()))
    query = dict(case.query or {})
    query |= {"SdkAppid": APP, "RequestTime": now, "Sign": hashlib.sha256((TOKEN + now).encode()).hexdigest()}
    if seed % 4:
        query["CallbackCommand"] = "OfficialAccount.CallbackAfterMsgWithDraw"
    case.query = query
