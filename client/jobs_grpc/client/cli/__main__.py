"""`python -m jobs_grpc.client.cli`, the same as `jobs-grpc`."""

from __future__ import annotations

from jobs_grpc.client.cli.main import main

main()
