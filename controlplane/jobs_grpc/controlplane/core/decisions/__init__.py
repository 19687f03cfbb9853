"""What becomes of due times: started or skipped, caught up, paused, filled in later."""
