"""Long short-term memory with a memory controller (MC-LSTM). Ben-Ari & Shwartz-Ziv 2017.

Sequence modeling using a memory controller extension for LSTM, NIPS time series workshop. The
gates read the control vector v; the output h is read by nothing in the cell.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="v, c",
    year=2017,
    output="h",
    init={"b_f": 1.0},
    purpose="forecasts: what is given out need not serve the gates",
    cite="benari2017",
)
def lstm_memory_controller(p, x, v, c):
    f = sigmoid(p.W_f @ x + p.U_f @ v + p.b_f)
    i = sigmoid(p.W_i @ x + p.U_i @ v + p.b_i)
    o = sigmoid(p.W_o @ x + p.U_o @ v + p.b_o)
    m = sigmoid(p.W_m @ x + p.U_m @ v + p.b_m)
    n = tanh(p.W_n @ x + p.U_n @ v + p.b_n)
    c = f * c + i * n
    h = o * tanh(c)
    v = m * tanh(c)
    return v, c
