package evidence

// readme is what stands in README.txt.
const readme = `EVIDENCE FROM AN ACCESS LOG

This archive holds entries of an access log and what shows that they stand in it
unchanged. The short way to check it, on a machine that has nothing else:

    ringfence log verify THIS-FILE --key LOG.PUB --witness-key WITNESS.PUB

The rest of this page says how to check it without that program. Everything here
is text; the arithmetic is SHA-256 and Ed25519, in every toolbox.

0. WHOSE KEYS

Keys in this archive prove nothing by themselves: whoever forges a bundle puts
their own in. Compare keys/log.pub, and the lines of keys/witnesses.pub, with
copies that you got from people you trust, by a way of its own.

1. NOTHING IN THIS ARCHIVE WAS CHANGED

    sha256sum -c SHA256SUMS
    sha256sum SHA256SUMS

The second result is the last value in the file manifest, which is signed (2).
The manifest says which question the entries answer, and when it was asked.

2. SIGNATURES

The files manifest, checkpoints/* and policies/*.signed are "signed notes": a
text, an empty line, and lines of the form

    — NAME BASE64

What is signed is the text with the newline at its end, without the empty line.
BASE64 is four bytes that name the key, and then an Ed25519 signature of 64
bytes. A line of keys/log.pub is NAME+NUMBER+BASE64: NUMBER is those four bytes
in hexadecimal, and BASE64 is one byte, 1, and then the public key of 32 bytes.
Behind a key may stand from and up to how many entries it signs.

For OpenSSL, put the bytes 302a300506032b6570032100 (hexadecimal) before the 32
bytes of the key and store that as key.der:

    openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in TEXT -sigfile SIGNATURE

3. CHECKPOINTS

The text of a checkpoint is three lines: the log's name, how many entries it
had, and the root of their tree in base64. checkpoints/cosigned bears lines of
witnesses as well, which are other machines, run by other people, that remember
each log and sign for none that was rolled back or rewritten. Theirs are four
bytes, eight bytes of time (seconds since 1970, the highest byte first), and the
signature, over the lines "cosignature/v1" and "time SECONDS", and then the text.
(A witness's key in keys/witnesses.pub has the byte 4 in the place of 1.)

4. EACH ENTRY IS IN THE TREE

Line N of entries.jsonl is an entry, exactly as it was hashed, and line N of
entries.proofs.jsonl its index and the hashes on its way to the root. Begin with

    h = SHA-256 of the byte 00 and the entry's line, without the newline
    i = the entry's index
    n = the number in checkpoints/newest, less 1

and take the hashes p in their order:

    if i is odd or i = n:   h = SHA-256 of the byte 01, p, h
                            and then, while i is even and not 0: halve i and n
    otherwise:              h = SHA-256 of the byte 01, h, p
    halve i and n (dropping the remainder)

At the end n is 0 and h is the root in checkpoints/newest. The same holds for
facts.jsonl. This is RFC 6962 as RFC 9162, section 2.1.3.2, words it; the hashes
in checkpoints/*.proof show likewise (section 2.1.4.2) that the newest checkpoint
continues the older one, so nothing that a witness or you had seen was changed
since.

Indexes count from 0 without a gap. Where the entries here are all from one index
to another, none is missing. Where they answer a question, that no further entry
does is the word of whoever holds the log's key: the whole log would show it. Where
the manifest has "begins", the entries before that number had been removed by age
when this was made, and were not searched.

Where begin.jsonl is here, it holds the first entry of the log, number 0, with
its proof. It says that another log was given up before this one began: its name
(previous_origin), and the number of entries (previous_entries) and the root
(previous_root) of its newest checkpoint that was known. Its entries are not in
this log. A checkpoint of that log which you kept shows whether more was lost.

5. WHAT THE ENTRIES SAY

An entry's "facts" is "sha256:" and the hash of the document which the line of
facts.jsonl with the same "facts" has under "document": what was known about the
person, the vendor and the contract when the decision was made. Its "revision"
names the folder below policies/ with the rules that decided; the name is made of
the files: for each, in the order of the names, the length of the name in decimal,
a colon, the name, the length of the text, a colon, the text; of all that the
first 32 hexadecimal digits of the SHA-256. Files beside such a folder, with the
ending .signed, say who wrote and who approved these rules. agreements/ holds what
people had accepted, as signed statements that can be read and printed.

An entry's "personal" holds names and addresses of a person, sealed; it is hashed as
it stands. Whoever runs the gateway can open it, until the person was erased.

6. IF THE LOG'S KEY WAS CHANGED

keys/N.chain shows for the key in line N of keys/log.pub, under a checkpoint that
the key before it signed, the entry in which the log named it.
`
