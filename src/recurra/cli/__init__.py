"""The command line: one module per verb, and `main`, which gives the exit code.

The modules load torch, pydantic, accelerate and yaml only inside functions, so that help is quick.
"""
