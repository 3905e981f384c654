"""Extraction: from request logs to indicators, in bounded memory and on any number of workers.

Workers read the logs once, in pieces, and spread the rows over parts on disk by a hash: requests by account,
prompts by text, single values by value. Each part is then processed by itself, and the results of all parts
are merged in order. The result does not depend on the number of parts or workers.
"""
