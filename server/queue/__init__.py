"""Documents handed in now, read when there is room, their results fetched later.

    submit --> store (document) and ledger (job) ... relay --> broker --> worker --gRPC--> OCR server
                                  ^                                         |
                                  +---- claim, renew, succeed, put back ----+--> store (result)

The **ledger**, a database, is the truth: which jobs there are, who works on what until when, which result counts. A
message in the **broker** is only a hint that a reading waits (a transactional outbox): whichever is lost is sent again,
whichever comes twice finds the reading claimed. The **store** holds bytes under names that are never written twice.
So every document ends with one result, whatever dies in between: the ledger lets one worker at a time claim a reading,
takes a claim back when its worker stops renewing it, and takes the first result alone.
"""
