"""Rules for payloads that got no memory: allocations that failed, and those that the kernel ended.

Limits that the pilot itself watches are in `lifecycle.limits`.
"""

from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="memory.bad_alloc",
        error="PAYLOADOUTOFMEMORY",
        where=Where.OUTPUT,
        when="std::bad_alloc",
        specificity=Specificity.CAUSE,
        says="a C++ program could not allocate memory",
        advice="Ask for more memory for the task, or find what the program allocates so much of.",
        sample="terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
        counter_sample="terminate called after throwing an instance of 'std::out_of_range'",
    ),
)
