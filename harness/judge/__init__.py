"""From records to verdicts: what the numbers say, with their tolerance or interval."""
