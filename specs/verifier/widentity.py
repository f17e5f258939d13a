"""Area 1 (specs/kinds.md §1): who a network is, its keys and root sets, and what comes back after a succession."""

import marshal

from wcbor import Refused, encode
from wclearing import need, own_account
from wentry import ZERO32, Entry
from wkeys import key_fault, signer_of, tagged

LOG, WITNESS, SEAL, LIBP2P, DESK, RECOVERY = range(1, 7)
OWN = 6
OWN_NAMES = ("hold", "incoming", "transit", "exchange", "rounding", "disputed")


def check_root_set(root):
    threshold, keys = root[0], root[1]
    need(1 <= len(keys) <= 15 and 1 <= threshold <= len(keys), "root-set")
    need(all(a < b for a, b in zip(keys, keys[1:])), "root-set-order")
    need(not any(key_fault(key) for key in keys), "key")


def check_key(purpose, key):
    need(key != ZERO32 if purpose in (SEAL, RECOVERY) else not key_fault(key), "key")


def root_digest(root):
    return tagged("WEFT-ROOT/1", encode(root))


def signers_in(root, signers):
    return len(signers & {signer_of(key) for key in root[1]})


class Identities:
    """The part of a state that deals with its network's identity."""

    def _kind_0101(self, entry, authority):
        genesis = entry.payload
        authority.root_quorum(genesis[0])
        need(entry.seq == 0 and entry.body[3] == ZERO32 and entry.body[5] == 0, "genesis-place")
        need(entry.ledger == entry.ledger_id(), "ledger-mismatch")
        check_root_set(genesis[0])
        need([purpose for purpose, _ in genesis[2]] == [1, 2, 3, 4, 5], "genesis-keys")
        taken = list(genesis[0][1])
        for purpose, key in genesis[2]:
            check_key(purpose, key)
            need(key not in taken, "key-reused")
            taken.append(key)
        self.ident = {0: entry.ledger, 1: entry.leaf, 2: genesis[0]}
        if 1 in genesis:
            self.ident[3] = genesis[1]
        self.ident |= {4: {purpose: [key] for purpose, key in genesis[2]}, 5: 1, 6: [], 7: {}, 8: []}
        for name in OWN_NAMES:
            self.t["accounts"][own_account(name)] = [OWN, False, False, [], []]

    def _new_key(self, purpose, key):
        check_key(purpose, key)
        bound = [old for keys in self.ident[4].values() for old in keys]
        need(key not in bound and key not in self.root_keys(), "key-reused")

    def _bind(self, purpose, key, first):
        self.ident[4].setdefault(purpose, []).append(key)
        if purpose == LOG:
            self.ident[6].append(first)

    def _kind_0102(self, entry, authority):
        authority.root_quorum(self.identity()[2])
        purpose, epoch, key = (entry.payload[i] for i in range(3))
        self._new_key(purpose, key)
        need(epoch == len(self.ident[4].get(purpose, [])), "key-epoch")
        self._bind(purpose, key, entry.seq + 1)
        self.ident[5] += 1

    def _kind_0103(self, entry, authority):
        authority.root_quorum(self.identity()[2])
        purpose, epoch, (size, root), replacement = (entry.payload.get(i) for i in range(4))
        need(epoch < len(self.ident[4].get(purpose, [])), "key-unknown")
        need((purpose, epoch) not in self.ident[7], "key-revoked")
        need(1 <= size <= entry.seq and (size > 1 or root == self.ident[1]), "last-good")
        in_force = self.in_force(purpose)
        in_force = in_force is not None and in_force[0] == epoch
        need(replacement is not None or not in_force or purpose == RECOVERY, "replacement-needed")
        need(replacement is None or in_force, "replacement-idle")
        if replacement is not None:
            self._new_key(purpose, replacement)
            self._bind(purpose, replacement, entry.seq)
        self.ident[7][(purpose, epoch)] = [entry.seq, [size, root]]
        self.ident[5] += 1

    def _kind_0104(self, entry, authority):
        old, new, after = self.identity()[2], entry.payload[0], entry.payload.get(1)
        need(signers_in(old, authority.roots) >= old[0], "root-quorum")
        check_root_set(new)
        bound = [key for keys in self.ident[4].values() for key in keys]
        need(not any(key in bound for key in new[1]), "key-reused")
        need(3 not in self.ident or self.ident[3] == root_digest(new), "next-root")
        need(new != old or after != self.ident.get(3), "nothing-to-do")
        need(signers_in(new, authority.roots) >= new[0], "new-root-quorum")
        self.ident[8].append([old, entry.seq])
        self.ident[2] = new
        self.ident.pop(3, None)
        if after is not None:
            self.ident[3] = after
        self.ident = dict(sorted(self.ident.items()))
        self.ident[5] += 1

    def _kind_0105(self, entry, authority):
        authority.root_quorum(self.identity()[2])
        number, old_size, old_root, base, boot, unheard = (entry.payload.get(i) for i in range(6))
        rows = self.t["successions"]
        need(number > max(rows, default=0), "succession-number")
        need(base == self.head[0], "succession-base")
        need(self.head[3] < boot <= entry.boot, "succession-boot")
        unheard = unheard or []
        known = {row[0] for row in self.t["channels"].values()}
        ascending = all(a < b for a, b in zip(unheard, unheard[1:]))
        need(ascending and known.issuperset(unheard), "succession-unheard")
        need(old_size > base or (old_size == base and unheard), "nothing-to-do")
        rows[number] = [base, old_size, old_root, boot, unheard]

    def _kind_0106(self, entry, _):
        lost, postings = Entry(entry.payload[0]), entry.payload.get(1, [])
        need(lost.ledger == self.identity()[0], "not-lost")
        rows = self.t["successions"].values()
        need(any(lost.boot < row[3] and lost.seq >= row[0] for row in rows), "not-lost")
        need(0x0B00 <= lost.kind < 0x0C00 and lost.stream is not None, "not-lost")
        channel, sseq, sprev = lost.stream
        need(channel == lost.payload[0] and not lost.auth, "not-lost")
        row = self.t["channels"].get(channel)
        need(row is None or not self.is_closed_to(row[0]), "channel-closed")
        need([sseq, sprev] == self.t["streams"].get(channel, [0, ZERO32]), "stream-place")
        given = self._lost_step(lost)
        need(given == postings, "postings-differ")
        if given:
            self.post(given)
        self.t["streams"][channel] = [sseq + 1, lost.leaf]
        self.checks.append((self.log_key(lost.body[5]), lost.node_message(), lost.node_sig))

    def _lost_step(self, lost):
        """What a step that comes back does; its signatures must verify also when it has no effect."""
        kept, checks = marshal.dumps(self.t), self.checks
        self.checks, self.lost = [], []
        try:
            self._step(lost, None)
            return self.lost
        except Refused:
            self.t = marshal.loads(kept)
            channel = self.t["channels"].get(lost.payload[0])
            if channel is not None:
                channel[5] = max(channel[5], lost.payload[1][0])
            return []
        finally:
            self.checks, self.lost = checks + self.checks, None
