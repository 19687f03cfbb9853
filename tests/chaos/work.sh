#!/bin/bash
# The load: says what it does to the witness file, prints numbered lines, ends as told.
say() {
  printf '%s\n' "$1 $JOBS_EXECUTION_ID $JOBS_ATTEMPT $JOBS_FENCE $$ $EPOCHREALTIME" >> "$CHAOS_WITNESS"
}
say start
for ((i = 0; i < CHAOS_LINES; i++)); do
  echo "$JOBS_EXECUTION_ID $JOBS_FENCE line $i"
  sleep 0.1
done
say end
exit "$CHAOS_CODE"
