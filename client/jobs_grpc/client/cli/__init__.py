"""The command line: words in, words out.

It is a client like any other: it talks to a server only through the SDK. Modules here and
in `commands/` load fast; gRPC, YAML and pydantic are imported inside the functions that
need them, because a command that prints help must not wait for them. A test holds that.
"""

from __future__ import annotations
