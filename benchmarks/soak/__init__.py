"""A soak: labs that watch each other under a steady load, while their nodes are killed, frozen and stopped.

plan    what each lab sees and judges, and when: drawn from a seed
labs    the labs' nodes, as processes that may be killed
load    the plan, carried out; what was not acknowledged is sent again
laws    what has to hold in the end, whatever happened
"""
