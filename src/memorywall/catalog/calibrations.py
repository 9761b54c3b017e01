from memorywall.core.kernels import Table


def table(hardware, kind, dtype, engine=""):
    return Table(
        "step",
        "",
        "",
        {"peak_share": 0.7, "bandwidth_share": 0.8, "operator_s": 2e-6, "step_s": 1e-4},
        0.8,
        1.25,
        "class default",
    )


def provenance_of(hardware):
    return "class default"


def has_kernels(hardware):
    return False


def host_table():
    return Table("host", "", "", {"operator_s": 55e-6}, 0.75, 1.35, "class default")
