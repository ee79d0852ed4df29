"""What leaves this process on behalf of a step: programs and HTTP requests, within the step's time and cancel."""
