# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Suture training ledger of one consortium
@license Apache-2.0
@notice Who takes part, with which keys; which runs exist, on which terms, paid from which escrow; who consents; what
        every round was made of, which model came out and from which model; who has earned how much. Digests, counters,
        addresses, roles and public keys only: nothing about a person and no payload.
@dev There is no owner, no upgrade, no loop over members, and the cost of a round does not depend on how many clients
     took part. The order of this file is: pragmas, interfaces, flags, structs, constants, immutables, storage, events,
     constructor, external (membership, keys, runs, rounds, rewards, evidence, views), internal.

     Rules that hold everywhere:
       (1) every state change emits an event;
       (2) checks, then effects, then calls of tokens; and no function can be entered while another one runs;
       (3) exits (withdraw, dropConsent, vote, setKeys, claim, closeRun) work while the ledger is paused;
       (4) ids bind who made them: run = keccak256(sponsor, terms), model = keccak256(run, round, artifact);
       (5) what is signed binds chain, contract, run, round and member by EIP-712;
       (6) Merkle leaves are hashed twice, so that no inner node can be shown as a leaf.

     Vyper gives each field of a struct a slot of its own. Small numbers that change together are therefore packed into
     one word by hand (`_packRun`, `_packRound`); views return them unpacked. Compiled for size, because the code is
     near the 24,576 bytes of EIP-170; that costs 0.3 % of gas.
@custom:security Not audited. The coordinator decides which contributions are accepted and what a round pays; the ledger
     only makes it impossible to do so twice, in silence, or beyond the escrow and the privacy budget.
"""

from ethereum.ercs import IERC20

# ---------------------------------------------------------------------------------------------------------------- flags

flag Role:
    HOLDER
    RESEARCHER
    AUDITOR
    COORDINATOR

flag Act:
    ADMIT
    REMOVE
    THRESHOLD
    UNPAUSE
    STOP_RUN

# -------------------------------------------------------------------------------------------------------------- structs

struct Member:
    # @dev Empty when the account is not a member.
    roles: Role
    # @dev Number of the current key set; outlives membership, because keys are used once ever.
    epoch: uint32
    # @dev Block of admission.
    since: uint64

struct Keys:
    # @dev Address of the key that signs contributions.
    signer: address
    # @dev Digest of the transport key bundle.
    encryption: bytes32
    # @dev Block of registration.
    block: uint64

struct Run:
    sponsor: address
    coordinator: address
    token: IERC20
    terms: bytes32
    state: uint8
    minClients: uint32
    maxRounds: uint32
    # @dev Number of the latest round.
    opened: uint32
    finalised: uint32
    # @dev Holders who consent now.
    accepted: uint32
    closingDelay: uint64
    # @dev Earliest time of the refund; 0 before closing was asked for.
    closesAt: uint64
    budget: uint256
    spent: uint256
    # @dev Deposited and not promised.
    escrow: uint256
    # @dev Promised by finalised rounds.
    allocated: uint256
    claimed: uint256

struct Round:
    state: uint8
    # @dev Model id.
    parent: bytes32
    header: bytes32
    # @dev Merkle root and size of V, the accepted contributions.
    root: bytes32
    count: uint32
    # @dev Merkle root and size of U, the included contributions.
    included: bytes32
    includedCount: uint32
    exclusions: bytes32
    # @dev Cumulative rewards root. Written once: a later round cannot erase what this one promised.
    rewards: bytes32
    # @dev Model id.
    model: bytes32

struct Model:
    run: bytes32
    round: uint32
    # @dev Model id; empty for a root.
    parent: bytes32
    artifact: bytes32
    metrics: bytes32
    aggregateKey: bytes32

# The forms in storage, and the small numbers that share a word.

struct RunProgress:
    state: uint8
    minClients: uint32
    maxRounds: uint32
    opened: uint32
    finalised: uint32
    accepted: uint32
    closesAt: uint64

struct RunSlots:
    progress: uint256
    coordinator: address
    sponsor: address
    token: IERC20
    terms: bytes32
    closingDelay: uint64
    budget: uint256
    spent: uint256
    escrow: uint256
    allocated: uint256
    claimed: uint256

struct RoundProgress:
    state: uint8
    count: uint32
    includedCount: uint32

struct RoundSlots:
    progress: uint256
    parent: bytes32
    header: bytes32
    root: bytes32
    included: bytes32
    exclusions: bytes32
    rewards: bytes32
    model: bytes32

struct ModelSlots:
    run: bytes32
    round: uint32
    artifact: bytes32
    metrics: bytes32
    aggregateKey: bytes32

# ------------------------------------------------------------------------------------------------------------ constants

RUN_OPEN: constant(uint8) = 1
RUN_CLOSING: constant(uint8) = 2
RUN_CLOSED: constant(uint8) = 3
RUN_STOPPED: constant(uint8) = 4

ROUND_OPEN: constant(uint8) = 1
ROUND_COMMITTED: constant(uint8) = 2
ROUND_INCLUDED: constant(uint8) = 3
ROUND_FINALISED: constant(uint8) = 4
ROUND_ABORTED: constant(uint8) = 5

# @dev Founding members; later ones come by vote.
MAX_FOUNDERS: constant(uint256) = 16
# @dev Hashes in a Merkle proof: trees of up to 2**32 leaves.
MAX_PROOF: constant(uint256) = 32
# @dev Ancestors returned by one call of `lineage`.
MAX_LINEAGE: constant(uint256) = 64
# @dev Seconds. A longer delay would lock an escrow by mistake.
MAX_CLOSING_DELAY: constant(uint64) = 366 * 86_400
# @dev What a token may spend on the refund of a stopped run, so that it cannot block the vote.
REFUND_GAS: constant(uint256) = 200_000

# @dev Half the order of secp256k1, rounded down: a valid signature has `s` no larger (EIP-2).
HALF_ORDER: constant(uint256) = 57_896_044_618_658_097_711_785_492_504_343_953_926_418_782_139_537_452_191_302_581_570_759_080_747_168

DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
KEY_POSSESSION_TYPE: constant(bytes32) = keccak256("KeyPossession(address member,uint32 epoch,bytes32 encryption)")
CONTRIBUTION_TYPE: constant(bytes32) = keccak256(
    "Contribution(bytes32 run,uint32 round,address member,bytes32 header,bytes32 parent,bytes32 ciphertext,bytes32 boxes,bytes32 dataset,bytes32 weight,bytes32 metrics)"
)

# ----------------------------------------------------------------------------------------------------------- immutables

# @dev EIP-712 domain separator of this contract on this chain.
DOMAIN: public(immutable(bytes32))

# -------------------------------------------------------------------------------------------------------------- storage

paused: public(bool)
# @dev Votes that an act needs.
threshold: public(uint32)
memberCount: public(uint32)
# @dev Grows with every executed act; a vote counts only in the era it was cast in.
era: public(uint32)
# @dev proposal id -> votes
votes: public(HashMap[bytes32, uint32])
# @dev proposal id -> voter -> has voted
voted: public(HashMap[bytes32, HashMap[address, bool]])
# @dev account -> membership
member: public(HashMap[address, Member])
# @dev account -> epoch -> keys
keysAt: public(HashMap[address, HashMap[uint32, Keys]])
# @dev signing key -> the one member who ever registered it
signerOf: public(HashMap[address, address])
# @dev run -> holder -> terms accepted
consent: public(HashMap[bytes32, HashMap[address, bytes32]])
# @dev run -> account -> tokens paid so far
claimedOf: public(HashMap[bytes32, HashMap[address, uint256]])
_runs: HashMap[bytes32, RunSlots]
_rounds: HashMap[bytes32, HashMap[uint32, RoundSlots]]
_models: HashMap[bytes32, ModelSlots]

# --------------------------------------------------------------------------------------------------------------- events

event MemberAdmitted:
    member: indexed(address)
    roles: Role
    info: bytes32

event MemberRemoved:
    member: indexed(address)
    info: bytes32

event ThresholdSet:
    threshold: uint32

event Vote:
    proposal: indexed(bytes32)
    voter: indexed(address)
    act: Act
    subject: address
    roles: Role
    info: bytes32
    votes: uint32

event Paused:
    by: indexed(address)
    paused: bool

event KeysSet:
    member: indexed(address)
    signer: indexed(address)
    epoch: uint32
    encryption: bytes32

event RunCreated:
    run: indexed(bytes32)
    sponsor: indexed(address)
    coordinator: indexed(address)
    terms: bytes32
    token: address
    escrow: uint256

event Consent:
    run: indexed(bytes32)
    holder: indexed(address)
    given: bool
    accepted: uint32

event RootRegistered:
    run: indexed(bytes32)
    artifact: indexed(bytes32)
    model: bytes32
    metrics: bytes32

event RoundOpened:
    run: indexed(bytes32)
    round: indexed(uint32)
    parent: bytes32
    header: bytes32

event RoundCommitted:
    run: indexed(bytes32)
    round: indexed(uint32)
    root: bytes32
    count: uint32
    spent: uint256

event RoundIncluded:
    run: indexed(bytes32)
    round: indexed(uint32)
    root: bytes32
    count: uint32
    exclusions: bytes32

event RoundFinalised:
    run: indexed(bytes32)
    round: indexed(uint32)
    artifact: indexed(bytes32)
    model: bytes32
    parent: bytes32
    aggregateKey: bytes32
    metrics: bytes32
    rewardsRoot: bytes32
    reward: uint256

event RoundAborted:
    run: indexed(bytes32)
    round: indexed(uint32)

event RunClosing:
    run: indexed(bytes32)
    closesAt: uint64

event RunClosed:
    run: indexed(bytes32)
    state: uint8

event Refunded:
    run: indexed(bytes32)
    sponsor: indexed(address)
    amount: uint256

event Claimed:
    run: indexed(bytes32)
    account: indexed(address)
    amount: uint256

event Objection:
    run: indexed(bytes32)
    round: indexed(uint32)
    member: indexed(address)
    reason: bytes32

# ---------------------------------------------------------------------------------------------------------- constructor

@deploy
def __init__(founders: DynArray[address, MAX_FOUNDERS], roles: DynArray[Role, MAX_FOUNDERS], threshold: uint32):
    """
    @notice Founds the consortium.
    @param founders The first members, each once.
    @param roles What each of them may do, in the same order.
    @param threshold How many votes an act needs, from 1 to the number of founders.
    """
    count: uint256 = len(founders)
    assert count > 0 and count == len(roles), "training_ledger: founders and roles do not match"
    assert threshold > 0 and convert(threshold, uint256) <= count, "training_ledger: threshold is out of range"
    for i: uint256 in range(count, bound=MAX_FOUNDERS):
        founder: address = founders[i]
        assert founder != empty(address), "training_ledger: subject is the zero address"
        assert roles[i] != empty(Role), "training_ledger: roles are empty"
        assert self.member[founder].roles == empty(Role), "training_ledger: subject is a member already"
        self.member[founder] = Member(roles=roles[i], epoch=0, since=convert(block.number, uint64))
        log MemberAdmitted(member=founder, roles=roles[i], info=empty(bytes32))
    self.memberCount = convert(count, uint32)
    self.threshold = threshold
    log ThresholdSet(threshold=threshold)
    DOMAIN = keccak256(
        abi_encode(DOMAIN_TYPE, keccak256("Suture Training Ledger"), keccak256("1"), chain.id, self)
    )


# ----------------------------------------------------------------------------------------------- external: membership

@external
def vote(act: Act, subject: address, roles: Role, info: bytes32) -> bool:
    """
    @notice Proposes an act, or adds a vote to it; the vote that reaches the threshold executes it.
    @param act ADMIT, REMOVE, THRESHOLD, UNPAUSE or STOP_RUN, exactly one.
    @param subject The account to admit or remove; otherwise zero.
    @param roles The roles to admit with; otherwise empty.
    @param info ADMIT, REMOVE: digest of the reason. THRESHOLD: the new number. STOP_RUN: the run.
    @return Whether this vote executed the act.
    @dev The proposal binds the era, and every executed act starts a new one: votes never outlive their electorate.
         Works while paused.
    """
    assert self.member[msg.sender].roles != empty(Role), "training_ledger: caller is not a member"
    proposal: bytes32 = self._proposal(act, subject, roles, info)
    assert not self.voted[proposal][msg.sender], "training_ledger: caller has voted"
    self.voted[proposal][msg.sender] = True
    count: uint32 = self.votes[proposal] + 1
    self.votes[proposal] = count
    log Vote(proposal=proposal, voter=msg.sender, act=act, subject=subject, roles=roles, info=info, votes=count)
    if count < self.threshold:
        return False
    self.era += 1
    self._execute(act, subject, roles, info)
    return True


@external
def pause():
    """
    @notice Stops new work. One auditor or coordinator is enough; to go on takes a vote.
    @dev Never blocks an exit: see rule (3).
    """
    self._requireRole(msg.sender, Role.AUDITOR | Role.COORDINATOR)
    self._requireLive()
    self.paused = True
    log Paused(by=msg.sender, paused=True)


# ----------------------------------------------------------------------------------------------------- external: keys

@external
def setKeys(signer: address, encryption: bytes32, possession: Bytes[65]):
    """
    @notice Registers the caller's first keys, or replaces them. Earlier ones stay readable.
    @param signer Address of the key that will sign contributions. Used once ever, by one member.
    @param encryption Digest of the transport key bundle.
    @param possession `signer`'s EIP-712 signature of KeyPossession(caller, next epoch, encryption).
    @dev Works while paused: a member whose key has leaked must not have to wait.
    """
    entry: Member = self.member[msg.sender]
    assert entry.roles != empty(Role), "training_ledger: caller is not a member"
    assert encryption != empty(bytes32), "training_ledger: encryption key is empty"
    assert self.signerOf[signer] == empty(address), "training_ledger: key was used before"
    assert signer == msg.sender or self.member[signer].roles == empty(Role), "training_ledger: key is another member's account"
    epoch: uint32 = entry.epoch + 1
    digest: bytes32 = self._typed(keccak256(abi_encode(KEY_POSSESSION_TYPE, msg.sender, epoch, encryption)))
    assert signer != empty(address) and self._recover(digest, possession) == signer, "training_ledger: possession of the key is not proven"
    self.signerOf[signer] = msg.sender
    self.member[msg.sender].epoch = epoch
    self.keysAt[msg.sender][epoch] = Keys(signer=signer, encryption=encryption, block=convert(block.number, uint64))
    log KeysSet(member=msg.sender, signer=signer, epoch=epoch, encryption=encryption)


# ----------------------------------------------------------------------------------------------------- external: runs

@external
def createRun(
    run: bytes32,
    terms: bytes32,
    token: IERC20,
    escrow: uint256,
    minClients: uint32,
    maxRounds: uint32,
    budget: uint256,
    coordinator: address,
    closingDelay: uint64,
):
    """
    @notice Creates a run and deposits its rewards. The caller becomes its sponsor.
    @param run keccak256(abi.encode(caller, terms)): nobody can take another's id.
    @param terms Digest of the terms document.
    @param token ERC-20 contract of the rewards; may be zero when the escrow is.
    @param escrow How much is deposited; the caller must have approved it.
    @param minClients Fewest members in an accepted or included set, at least 1.
    @param maxRounds Most rounds that may be finalised, at least 1.
    @param budget Most privacy budget the run may spend, in the unit of the terms.
    @param coordinator Who runs the rounds.
    @param closingDelay Seconds between asking to close the run and the refund, at most 366 days.
    @custom:security A token that takes a fee is refused. The token is the sponsor's choice: holders read it before they
         accept.
    """
    self._requireLive()
    self._requireRole(msg.sender, Role.RESEARCHER | Role.COORDINATOR)
    self._requireRole(coordinator, Role.COORDINATOR)
    assert run == keccak256(abi_encode(msg.sender, terms)), "training_ledger: run id does not bind sponsor and terms"
    assert self._runs[run].progress == 0, "training_ledger: run exists already"
    assert terms != empty(bytes32), "training_ledger: terms are empty"
    assert minClients > 0 and maxRounds > 0, "training_ledger: fewest clients or most rounds is zero"
    assert closingDelay <= MAX_CLOSING_DELAY, "training_ledger: closing delay is too long"
    self._runs[run] = RunSlots(
        progress=self._packRun(
            RunProgress(
                state=RUN_OPEN,
                minClients=minClients,
                maxRounds=maxRounds,
                opened=0,
                finalised=0,
                accepted=0,
                closesAt=0,
            )
        ),
        coordinator=coordinator,
        sponsor=msg.sender,
        token=token,
        terms=terms,
        closingDelay=closingDelay,
        budget=budget,
        spent=0,
        escrow=escrow,
        allocated=0,
        claimed=0,
    )
    log RunCreated(
        run=run, sponsor=msg.sender, coordinator=coordinator, terms=terms, token=token.address, escrow=escrow
    )
    if escrow > 0:
        self._deposit(token, msg.sender, escrow)


@external
def accept(run: bytes32, terms: bytes32):
    """
    @notice The caller, a holder with keys, consents to the run.
    @param run The run.
    @param terms Digest of the terms that the holder has read; must be the run's.
    """
    self._requireLive()
    self._requireRole(msg.sender, Role.HOLDER)
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    assert progress.state == RUN_OPEN, "training_ledger: run is not OPEN"
    assert self._runs[run].terms == terms, "training_ledger: terms are not the run's"
    assert self.consent[run][msg.sender] == empty(bytes32), "training_ledger: consent was given already"
    assert self.member[msg.sender].epoch > 0, "training_ledger: caller has no keys"
    self.consent[run][msg.sender] = terms
    progress.accepted += 1
    self._runs[run].progress = self._packRun(progress)
    log Consent(run=run, holder=msg.sender, given=True, accepted=progress.accepted)


@external
def withdraw(run: bytes32):
    """
    @notice The caller takes back consent. Works always: paused, closed, or no longer a member.
    @param run The run.
    """
    self._strikeConsent(run, msg.sender)


@external
def dropConsent(run: bytes32, holder: address):
    """
    @notice Strikes the consent of somebody who is no longer a holder, so that `accepted` counts holders only. Anyone.
    @param run The run.
    @param holder Whose consent.
    """
    assert Role.HOLDER not in self.member[holder].roles, "training_ledger: account is still a holder"
    self._strikeConsent(run, holder)


@external
def closeRun(run: bytes32):
    """
    @notice Coordinator or sponsor end a run, in two calls. The first stops new rounds and starts the closing delay, in
            which the round under way can be finished and paid. The second, after the delay, returns the rest of the
            escrow to the sponsor. None of them while a round is committed.
    @param run The run.
    @dev Works while paused. On a run that was stopped by vote, one call fetches an escrow whose refund failed then.
    """
    sponsor: address = self._runs[run].sponsor
    assert msg.sender == sponsor or msg.sender == self._runs[run].coordinator, "training_ledger: caller is neither coordinator nor sponsor"
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    if progress.state == RUN_STOPPED:
        assert self._runs[run].escrow > 0, "training_ledger: escrow is empty"
        self._refund(run, sponsor)
        return
    assert progress.state in [RUN_OPEN, RUN_CLOSING], "training_ledger: run is closed"
    if progress.opened > 0:
        latest: uint8 = self._unpackRound(self._rounds[run][progress.opened].progress).state
        assert latest not in [ROUND_COMMITTED, ROUND_INCLUDED], "training_ledger: a round is committed"
    if progress.state == RUN_OPEN:
        progress.state = RUN_CLOSING
        progress.closesAt = convert(block.timestamp, uint64) + self._runs[run].closingDelay
        self._runs[run].progress = self._packRun(progress)
        log RunClosing(run=run, closesAt=progress.closesAt)
        return
    assert block.timestamp >= convert(progress.closesAt, uint256), "training_ledger: closing delay is not over"
    progress.state = RUN_CLOSED
    self._runs[run].progress = self._packRun(progress)
    log RunClosed(run=run, state=RUN_CLOSED)
    if self._runs[run].escrow > 0:
        self._refund(run, sponsor)


# --------------------------------------------------------------------------------------------------- external: rounds

@external
def registerRoot(run: bytes32, artifact: bytes32, metrics: bytes32):
    """
    @notice Puts a model without a parent on record: an initial model, one from outside, one from an earlier contract.
    @param run The run that will start from it.
    @param artifact SHA-256 of the model file.
    @param metrics Commitment to its metrics; may be empty.
    """
    self._requireOpen(self._requireCoordinator(run))
    model: bytes32 = self._record(run, 0, artifact, metrics, empty(bytes32))
    log RootRegistered(run=run, artifact=artifact, model=model, metrics=metrics)


@external
def openRound(run: bytes32, n: uint32, parent: bytes32, header: bytes32):
    """
    @notice Opens the next round: from now on members may train from `parent` under `header`.
    @param run The run.
    @param n One more than the latest round, which must be finalised or aborted.
    @param parent Id of a model on this ledger.
    @param header Digest of the round header.
    """
    progress: RunProgress = self._requireCoordinator(run)
    self._requireOpen(progress)
    assert n == progress.opened + 1, "training_ledger: round is not the next one"
    if progress.opened > 0:
        latest: uint8 = self._unpackRound(self._rounds[run][progress.opened].progress).state
        assert latest in [ROUND_FINALISED, ROUND_ABORTED], "training_ledger: latest round is not over"
    assert progress.finalised < progress.maxRounds, "training_ledger: run has had its rounds"
    assert progress.accepted >= progress.minClients, "training_ledger: too few holders consent"
    assert self._models[parent].run != empty(bytes32), "training_ledger: parent is not on the ledger"
    assert header != empty(bytes32), "training_ledger: header is empty"
    progress.opened = n
    self._runs[run].progress = self._packRun(progress)
    self._rounds[run][n].progress = self._packRound(RoundProgress(state=ROUND_OPEN, count=0, includedCount=0))
    self._rounds[run][n].parent = parent
    self._rounds[run][n].header = header
    log RoundOpened(run=run, round=n, parent=parent, header=header)


@external
def commitRound(run: bytes32, n: uint32, root: bytes32, count: uint32, spent: uint256):
    """
    @notice Fixes V, the set of accepted contributions, once.
    @param run The run.
    @param n The round; must be OPEN.
    @param root Merkle root over (address member, bytes32 contribution digest).
    @param count How many, from the run's fewest clients to the holders who consent.
    @param spent Privacy budget that this round spends.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    assert progress.state == ROUND_OPEN, "training_ledger: round is not OPEN"
    assert root != empty(bytes32), "training_ledger: root is empty"
    assert count >= limits.minClients and count <= limits.accepted, "training_ledger: count is out of range"
    if spent > 0:
        total: uint256 = self._runs[run].spent
        assert spent <= self._runs[run].budget - total, "training_ledger: privacy budget is exceeded"
        self._runs[run].spent = total + spent
    progress.state = ROUND_COMMITTED
    progress.count = count
    self._rounds[run][n].progress = self._packRound(progress)
    self._rounds[run][n].root = root
    log RoundCommitted(run=run, round=n, root=root, count=count, spent=spent)


@external
def commitIncluded(run: bytes32, n: uint32, root: bytes32, count: uint32, exclusions: bytes32):
    """
    @notice Fixes U, the subset of V that is summed, once. Members reveal nothing before this is final.
    @param run The run.
    @param n The round; must be COMMITTED.
    @param root Merkle root over the same leaves as V's; equal to it exactly when nothing is excluded.
    @param count How many, from the run's fewest clients to the size of V.
    @param exclusions Digest of the list of exclusions with their reasons.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    assert progress.state == ROUND_COMMITTED, "training_ledger: round is not COMMITTED"
    assert root != empty(bytes32), "training_ledger: root is empty"
    assert count >= limits.minClients and count <= progress.count, "training_ledger: count is out of range"
    assert (count == progress.count) == (root == self._rounds[run][n].root), "training_ledger: root and count contradict the accepted set"
    progress.state = ROUND_INCLUDED
    progress.includedCount = count
    self._rounds[run][n].progress = self._packRound(progress)
    self._rounds[run][n].included = root
    self._rounds[run][n].exclusions = exclusions
    log RoundIncluded(run=run, round=n, root=root, count=count, exclusions=exclusions)


@external
def finaliseRound(
    run: bytes32,
    n: uint32,
    artifact: bytes32,
    aggregateKey: bytes32,
    metrics: bytes32,
    rewardsRoot: bytes32,
    reward: uint256,
):
    """
    @notice Puts the round's model on record and promises its rewards.
    @param run The run.
    @param n The round; must be INCLUDED.
    @param artifact SHA-256 of the model file.
    @param aggregateKey Digest of the aggregate key, with which anyone recomputes the sum.
    @param metrics Commitment to the metrics; may be empty.
    @param rewardsRoot Root over (bytes32 run, address account, uint256 cumulative); empty exactly when the reward is 0.
    @param reward What this round adds to the cumulative sums in all; taken from the escrow.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    assert progress.state == ROUND_INCLUDED, "training_ledger: round is not INCLUDED"
    assert aggregateKey != empty(bytes32), "training_ledger: aggregate key is empty"
    assert (reward == 0) == (rewardsRoot == empty(bytes32)), "training_ledger: reward and rewards root do not match"
    model: bytes32 = self._record(run, n, artifact, metrics, aggregateKey)
    progress.state = ROUND_FINALISED
    self._rounds[run][n].progress = self._packRound(progress)
    self._rounds[run][n].model = model
    limits.finalised += 1
    self._runs[run].progress = self._packRun(limits)
    if reward > 0:
        escrow: uint256 = self._runs[run].escrow
        assert reward <= escrow, "training_ledger: reward exceeds the escrow"
        self._runs[run].escrow = escrow - reward
        self._runs[run].allocated += reward
        self._rounds[run][n].rewards = rewardsRoot
    log RoundFinalised(
        run=run,
        round=n,
        artifact=artifact,
        model=model,
        parent=self._rounds[run][n].parent,
        aggregateKey=aggregateKey,
        metrics=metrics,
        rewardsRoot=rewardsRoot,
        reward=reward,
    )


@external
def abortRound(run: bytes32, n: uint32):
    """
    @notice Gives a round up. Its budget stays spent: what was answered cannot be taken back.
    @param run The run.
    @param n The round; must be OPEN, COMMITTED or INCLUDED.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    assert progress.state in [ROUND_OPEN, ROUND_COMMITTED, ROUND_INCLUDED], "training_ledger: round is not under way"
    progress.state = ROUND_ABORTED
    self._rounds[run][n].progress = self._packRound(progress)
    log RoundAborted(run=run, round=n)


# -------------------------------------------------------------------------------------------------- external: rewards

@external
def claim(run: bytes32, n: uint32, account: address, cumulative: uint256, proof: DynArray[bytes32, MAX_PROOF]):
    """
    @notice Pays an account what a round's rewards root promises it, less what it was paid before. Anyone may push.
    @param run The run.
    @param n A finalised round that paid rewards; the latest one pays everything.
    @param account Who is paid.
    @param cumulative The account's sum of rewards up to that round.
    @param proof Merkle proof of (run, account, cumulative).
    @dev Works while paused and after the run is closed. What all accounts get never exceeds what rounds of this run
         promised, so a wrong root harms its own run only.
    """
    root: bytes32 = self._rounds[run][n].rewards
    assert root != empty(bytes32), "training_ledger: round has no rewards"
    leaf: bytes32 = keccak256(keccak256(abi_encode(run, account, cumulative)))
    assert self._root(leaf, proof) == root, "training_ledger: proof does not lead to the rewards root"
    before: uint256 = self.claimedOf[run][account]
    assert cumulative > before, "training_ledger: nothing to claim"
    amount: uint256 = cumulative - before
    claimed: uint256 = self._runs[run].claimed
    assert amount <= self._runs[run].allocated - claimed, "training_ledger: claims exceed what was promised"
    self.claimedOf[run][account] = cumulative
    self._runs[run].claimed = claimed + amount
    log Claimed(run=run, account=account, amount=amount)
    assert extcall self._runs[run].token.transfer(account, amount, default_return_value=True), "training_ledger: token refused the transfer"


# ------------------------------------------------------------------------------------------------- external: evidence

@external
def objection(run: bytes32, n: uint32, reason: bytes32):
    """
    @notice A holder or auditor puts a dispute about a round on record. It has no effect, so it cannot be abused.
    @param run The run.
    @param n The round; 0 for the run as a whole.
    @param reason Digest of the statement.
    """
    self._requireRole(msg.sender, Role.HOLDER | Role.AUDITOR)
    opened: uint32 = self._unpackRun(self._runs[run].progress).opened
    assert self._runs[run].progress != 0 and n <= opened, "training_ledger: round does not exist"
    log Objection(run=run, round=n, member=msg.sender, reason=reason)


@external
@view
def contributionDigest(
    run: bytes32,
    n: uint32,
    who: address,
    header: bytes32,
    parent: bytes32,
    ciphertext: bytes32,
    boxes: bytes32,
    dataset: bytes32,
    weight: bytes32,
    metrics: bytes32,
) -> bytes32:
    """
    @notice The EIP-712 digest that a member signs for a contribution.
    @param run The run.
    @param n The round.
    @param who The member.
    @param header Digest of the round header.
    @param parent Id of the model trained from.
    @param ciphertext Root of the encrypted update.
    @param boxes Root of the sealed shares.
    @param dataset Commitment to the data set.
    @param weight Commitment to the weight.
    @param metrics Commitment to the metrics.
    @return The digest.
    """
    return self._contribution(run, n, who, header, parent, ciphertext, boxes, dataset, weight, metrics)


@external
@view
def verifyContribution(
    run: bytes32,
    n: uint32,
    who: address,
    ciphertext: bytes32,
    boxes: bytes32,
    dataset: bytes32,
    weight: bytes32,
    metrics: bytes32,
    signature: Bytes[65],
    proof: DynArray[bytes32, MAX_PROOF],
    included: bool,
) -> bool:
    """
    @notice Whether a member signed this contribution and the round counts it. Header and parent are the round's own.
    @param run The run.
    @param n The round; an aborted one counts nothing.
    @param who The member.
    @param ciphertext Root of the encrypted update.
    @param boxes Root of the sealed shares.
    @param dataset Commitment to the data set.
    @param weight Commitment to the weight.
    @param metrics Commitment to the metrics.
    @param signature The member's signature, 65 bytes (r, s, v).
    @param proof Merkle proof of (member, digest).
    @param included True: was it summed (the set U)? False: was it accepted (the set V)?
    @return Whether all of it holds.
    """
    if self._unpackRound(self._rounds[run][n].progress).state == ROUND_ABORTED:
        return False
    root: bytes32 = self._rounds[run][n].included if included else self._rounds[run][n].root
    if root == empty(bytes32):
        return False
    digest: bytes32 = self._contribution(
        run, n, who, self._rounds[run][n].header, self._rounds[run][n].parent, ciphertext, boxes, dataset, weight, metrics
    )
    signer: address = self._recover(digest, signature)
    if signer == empty(address) or self.signerOf[signer] != who:
        return False
    return self._root(keccak256(keccak256(abi_encode(who, digest))), proof) == root


# ---------------------------------------------------------------------------------------------------- external: views

@external
@view
def proposalId(act: Act, subject: address, roles: Role, info: bytes32) -> bytes32:
    """
    @notice The id under which votes for an act are counted now.
    @param act As in `vote`.
    @param subject As in `vote`.
    @param roles As in `vote`.
    @param info As in `vote`.
    @return The id; another one after the next executed act.
    """
    return self._proposal(act, subject, roles, info)


@external
@view
def keys(who: address) -> Keys:
    """
    @notice A member's current keys.
    @param who The member.
    @return The keys; empty before the first registration.
    """
    return self.keysAt[who][self.member[who].epoch]


@external
@view
def runs(run: bytes32) -> Run:
    """
    @notice Everything about a run.
    @param run The run.
    @return The run; state 0 when there is none. States: 1 open, 2 closing, 3 closed, 4 stopped.
    """
    slots: RunSlots = self._runs[run]
    progress: RunProgress = self._unpackRun(slots.progress)
    return Run(
        sponsor=slots.sponsor,
        coordinator=slots.coordinator,
        token=slots.token,
        terms=slots.terms,
        state=progress.state,
        minClients=progress.minClients,
        maxRounds=progress.maxRounds,
        opened=progress.opened,
        finalised=progress.finalised,
        accepted=progress.accepted,
        closingDelay=slots.closingDelay,
        closesAt=progress.closesAt,
        budget=slots.budget,
        spent=slots.spent,
        escrow=slots.escrow,
        allocated=slots.allocated,
        claimed=slots.claimed,
    )


@external
@view
def round(run: bytes32, n: uint32) -> Round:
    """
    @notice Everything about a round.
    @param run The run.
    @param n The round.
    @return The round; state 0 when there is none. States: 1 open, 2 committed, 3 included, 4 finalised, 5 aborted.
    """
    slots: RoundSlots = self._rounds[run][n]
    progress: RoundProgress = self._unpackRound(slots.progress)
    return Round(
        state=progress.state,
        parent=slots.parent,
        header=slots.header,
        root=slots.root,
        count=progress.count,
        included=slots.included,
        includedCount=progress.includedCount,
        exclusions=slots.exclusions,
        rewards=slots.rewards,
        model=slots.model,
    )


@external
@view
def models(model: bytes32) -> Model:
    """
    @notice Everything about a model.
    @param model The model id.
    @return The model; its run is empty when there is none.
    """
    slots: ModelSlots = self._models[model]
    return Model(
        run=slots.run,
        round=slots.round,
        parent=self._parent(model),
        artifact=slots.artifact,
        metrics=slots.metrics,
        aggregateKey=slots.aggregateKey,
    )


@external
@pure
def modelId(run: bytes32, n: uint32, artifact: bytes32) -> bytes32:
    """
    @notice The id of a model. It binds run and round, so that nobody can occupy another's by recording the file first.
    @param run The run.
    @param n The round; 0 for a registered root.
    @param artifact SHA-256 of the model file.
    @return keccak256(abi.encode(run, n, artifact)).
    """
    return keccak256(abi_encode(run, n, artifact))


@external
@view
def lineage(model: bytes32) -> DynArray[bytes32, MAX_LINEAGE]:
    """
    @notice The ancestors of a model, nearest first, at most 64. For more, call again with the last one.
    @param model The model id.
    @return Model ids.
    """
    ancestors: DynArray[bytes32, MAX_LINEAGE] = []
    current: bytes32 = model
    for i: uint256 in range(MAX_LINEAGE):
        current = self._parent(current)
        if current == empty(bytes32):
            break
        ancestors.append(current)
    return ancestors


# -------------------------------------------------------------------------------------------------- internal: requires

@internal
@view
def _requireLive():
    """
    @dev New work needs a ledger that is not paused.
    """
    assert not self.paused, "training_ledger: ledger is paused"


@internal
@view
def _requireRole(who: address, allowed: Role):
    """
    @dev A removed member has no roles.
    @param who The account.
    @param allowed Any of these is enough.
    """
    assert (self.member[who].roles & allowed) != empty(Role), "training_ledger: account lacks the role"


@internal
@view
def _requireCoordinator(run: bytes32) -> RunProgress:
    """
    @dev The caller is the run's coordinator, still has the role, the ledger is live and the run is not over.
    @param run The run.
    @return The run's small numbers, read once.
    """
    self._requireLive()
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    assert progress.state in [RUN_OPEN, RUN_CLOSING], "training_ledger: run is not OPEN or CLOSING"
    assert self._runs[run].coordinator == msg.sender, "training_ledger: caller is not the run's coordinator"
    self._requireRole(msg.sender, Role.COORDINATOR)
    return progress


@internal
@pure
def _requireOpen(progress: RunProgress):
    """
    @dev Nothing new is begun in a run that closes.
    @param progress The run's small numbers.
    """
    assert progress.state == RUN_OPEN, "training_ledger: run is not OPEN"


# -------------------------------------------------------------------------------------------------- internal: governance

@internal
@view
def _proposal(act: Act, subject: address, roles: Role, info: bytes32) -> bytes32:
    """
    @dev See `proposalId`.
    @param act The act.
    @param subject The account.
    @param roles The roles.
    @param info The information.
    @return The id in this era.
    """
    return keccak256(abi_encode(self.era, act, subject, roles, info))


@internal
def _execute(act: Act, subject: address, roles: Role, info: bytes32):
    """
    @dev Does what enough members voted for.
    @param act The act.
    @param subject The account.
    @param roles The roles.
    @param info The information.
    """
    if act == Act.ADMIT:
        assert subject != empty(address), "training_ledger: subject is the zero address"
        assert roles != empty(Role), "training_ledger: roles are empty"
        assert self.member[subject].roles == empty(Role), "training_ledger: subject is a member already"
        owner: address = self.signerOf[subject]
        assert owner == empty(address) or owner == subject, "training_ledger: subject is another member's key"
        self.member[subject].roles = roles
        self.member[subject].since = convert(block.number, uint64)
        self.memberCount += 1
        log MemberAdmitted(member=subject, roles=roles, info=info)
    elif act == Act.REMOVE:
        assert self.member[subject].roles != empty(Role), "training_ledger: subject is not a member"
        remaining: uint32 = self.memberCount - 1
        assert remaining > 0, "training_ledger: subject is the last member"
        self.member[subject].roles = empty(Role)
        self.member[subject].since = 0
        self.memberCount = remaining
        log MemberRemoved(member=subject, info=info)
        if self.threshold > remaining:
            self.threshold = remaining
            log ThresholdSet(threshold=remaining)
    elif act == Act.THRESHOLD:
        wanted: uint256 = convert(info, uint256)
        assert wanted > 0 and wanted <= convert(self.memberCount, uint256), "training_ledger: threshold is out of range"
        self.threshold = convert(wanted, uint32)
        log ThresholdSet(threshold=self.threshold)
    elif act == Act.UNPAUSE:
        assert self.paused, "training_ledger: ledger is not paused"
        self.paused = False
        log Paused(by=msg.sender, paused=False)
    elif act == Act.STOP_RUN:
        self._stop(info)
    else:
        raise "training_ledger: act is unknown"


@internal
def _stop(run: bytes32):
    """
    @dev Ends a run by vote, with its escrow back to the sponsor. The token is the sponsor's choice and must not be able
         to block the vote: when its transfer fails, the escrow stays for `closeRun` to fetch.
    @param run The run.
    """
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    assert progress.state in [RUN_OPEN, RUN_CLOSING], "training_ledger: run is not OPEN or CLOSING"
    progress.state = RUN_STOPPED
    self._runs[run].progress = self._packRun(progress)
    log RunClosed(run=run, state=RUN_STOPPED)
    amount: uint256 = self._runs[run].escrow
    if amount == 0:
        return
    sponsor: address = self._runs[run].sponsor
    self._runs[run].escrow = 0
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        self._runs[run].token.address,
        abi_encode(sponsor, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        gas=REFUND_GAS,
        revert_on_failure=False,
    )
    if success and (len(answer) == 0 or convert(answer, uint256) == 1):
        log Refunded(run=run, sponsor=sponsor, amount=amount)
    else:
        self._runs[run].escrow = amount


# -------------------------------------------------------------------------------------------------- internal: money, consent

@internal
def _deposit(token: IERC20, sponsor: address, amount: uint256):
    """
    @dev Takes an escrow, and refuses a token that delivers anything but the amount.
    @param token The token.
    @param sponsor Who pays.
    @param amount How much.
    """
    before: uint256 = staticcall token.balanceOf(self)
    assert extcall token.transferFrom(sponsor, self, amount, default_return_value=True), "training_ledger: token refused the transfer"
    assert staticcall token.balanceOf(self) == before + amount, "training_ledger: token did not deliver the amount"


@internal
def _refund(run: bytes32, sponsor: address):
    """
    @dev Returns a run's escrow.
    @param run The run.
    @param sponsor Who gets it.
    """
    amount: uint256 = self._runs[run].escrow
    self._runs[run].escrow = 0
    log Refunded(run=run, sponsor=sponsor, amount=amount)
    assert extcall self._runs[run].token.transfer(sponsor, amount, default_return_value=True), "training_ledger: token refused the transfer"


@internal
def _strikeConsent(run: bytes32, holder: address):
    """
    @dev Ends a consent.
    @param run The run.
    @param holder Whose consent.
    """
    assert self.consent[run][holder] != empty(bytes32), "training_ledger: consent was not given"
    self.consent[run][holder] = empty(bytes32)
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    progress.accepted -= 1
    self._runs[run].progress = self._packRun(progress)
    log Consent(run=run, holder=holder, given=False, accepted=progress.accepted)


# -------------------------------------------------------------------------------------------------- internal: models

@internal
def _record(run: bytes32, n: uint32, artifact: bytes32, metrics: bytes32, aggregateKey: bytes32) -> bytes32:
    """
    @dev Writes a model once.
    @param run The run.
    @param n The round, or 0.
    @param artifact SHA-256 of the file.
    @param metrics Commitment to the metrics.
    @param aggregateKey Digest of the aggregate key, or empty.
    @return The model id.
    """
    assert artifact != empty(bytes32), "training_ledger: artifact is empty"
    model: bytes32 = keccak256(abi_encode(run, n, artifact))
    assert self._models[model].run == empty(bytes32), "training_ledger: model is on the ledger already"
    self._models[model] = ModelSlots(run=run, round=n, artifact=artifact, metrics=metrics, aggregateKey=aggregateKey)
    return model


@internal
@view
def _parent(model: bytes32) -> bytes32:
    """
    @dev A model's parent is its round's; a root has none, and neither has what is not on the ledger.
    @param model The model id.
    @return The parent's id, or empty.
    """
    n: uint32 = self._models[model].round
    if n == 0:
        return empty(bytes32)
    return self._rounds[self._models[model].run][n].parent


# -------------------------------------------------------------------------------------------------- internal: signatures, proofs

@internal
@view
def _typed(structHash: bytes32) -> bytes32:
    """
    @dev EIP-712: binds a struct to this contract on this chain.
    @param structHash Hash of the struct.
    @return What is signed.
    """
    return keccak256(concat(x"1901", DOMAIN, structHash))


@internal
@view
def _contribution(
    run: bytes32,
    n: uint32,
    who: address,
    header: bytes32,
    parent: bytes32,
    ciphertext: bytes32,
    boxes: bytes32,
    dataset: bytes32,
    weight: bytes32,
    metrics: bytes32,
) -> bytes32:
    """
    @dev See `contributionDigest`.
    @param run The run.
    @param n The round.
    @param who The member.
    @param header Digest of the round header.
    @param parent Id of the model trained from.
    @param ciphertext Root of the encrypted update.
    @param boxes Root of the sealed shares.
    @param dataset Commitment to the data set.
    @param weight Commitment to the weight.
    @param metrics Commitment to the metrics.
    @return What is signed.
    """
    return self._typed(
        keccak256(
            abi_encode(CONTRIBUTION_TYPE, run, n, who, header, parent, ciphertext, boxes, dataset, weight, metrics)
        )
    )


@internal
@pure
def _recover(digest: bytes32, signature: Bytes[65]) -> address:
    """
    @dev Who signed. Accepts one form of a signature only: 65 bytes, low s (EIP-2), v of 27 or 28.
    @param digest What was signed.
    @param signature r, s, v.
    @return The signer, or the zero address when there is none.
    """
    if len(signature) != 65:
        return empty(address)
    r: uint256 = extract32(signature, 0, output_type=uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if s > HALF_ORDER or (v != 27 and v != 28):
        return empty(address)
    return ecrecover(digest, v, r, s)


@internal
@pure
def _root(leaf: bytes32, proof: DynArray[bytes32, MAX_PROOF]) -> bytes32:
    """
    @dev Root of the tree with sorted pairs that a proof leads to.
    @param leaf The leaf, hashed twice.
    @param proof The siblings, from the leaf upwards.
    @return The root.
    """
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    return node


# -------------------------------------------------------------------------------------------------- internal: packing

@internal
@pure
def _packRun(progress: RunProgress) -> uint256:
    """
    @dev From the low bits up: state 8, minClients 32, maxRounds 32, opened 32, finalised 32, accepted 32, closesAt 64.
    @param progress The numbers.
    @return One word.
    """
    return (
        convert(progress.state, uint256)
        | (convert(progress.minClients, uint256) << 8)
        | (convert(progress.maxRounds, uint256) << 40)
        | (convert(progress.opened, uint256) << 72)
        | (convert(progress.finalised, uint256) << 104)
        | (convert(progress.accepted, uint256) << 136)
        | (convert(progress.closesAt, uint256) << 168)
    )


@internal
@pure
def _unpackRun(word: uint256) -> RunProgress:
    """
    @dev The inverse of `_packRun`.
    @param word One word.
    @return The numbers.
    """
    return RunProgress(
        state=convert(word & 255, uint8),
        minClients=convert((word >> 8) & 4_294_967_295, uint32),
        maxRounds=convert((word >> 40) & 4_294_967_295, uint32),
        opened=convert((word >> 72) & 4_294_967_295, uint32),
        finalised=convert((word >> 104) & 4_294_967_295, uint32),
        accepted=convert((word >> 136) & 4_294_967_295, uint32),
        closesAt=convert(word >> 168, uint64),
    )


@internal
@pure
def _packRound(progress: RoundProgress) -> uint256:
    """
    @dev From the low bits up: state 8, count 32, includedCount 32.
    @param progress The numbers.
    @return One word.
    """
    return (
        convert(progress.state, uint256)
        | (convert(progress.count, uint256) << 8)
        | (convert(progress.includedCount, uint256) << 40)
    )


@internal
@pure
def _unpackRound(word: uint256) -> RoundProgress:
    """
    @dev The inverse of `_packRound`.
    @param word One word.
    @return The numbers.
    """
    return RoundProgress(
        state=convert(word & 255, uint8),
        count=convert((word >> 8) & 4_294_967_295, uint32),
        includedCount=convert((word >> 40) & 4_294_967_295, uint32),
    )
