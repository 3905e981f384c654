"""From request logs to indicators: `mandorla extract`, in bounded memory and on any number of workers.

Logs are read once, in pieces, and spread on disk by hashes: requests by their account, prompts by their
text, single values by theirs. Each part is then worked on by itself, and what the parts give is merged in
order. So the result does not depend on how many parts or workers there are.
"""
