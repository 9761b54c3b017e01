"""Answers: what the verbs say together of one question: a cost, a measurement, a trace, a trend."""
