"""Helpers of several test rooms: samples of a graph, evaluators, and checks of a cell."""
