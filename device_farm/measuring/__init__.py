"""What samples and evidence say: pure statistics, stopping, validity and drift."""
