# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Suture training ledger of one consortium
@license Apache-2.0
@notice Who takes part, with which keys; which runs exist, on which terms, paid from which escrow; who consents, with
        which data set and within which privacy budget; what every round was made of, which model came out and from
        which model; who has earned how much. Digests, counters, addresses, roles and public keys only: nothing about a
        person and no payload.
@dev There is no owner, no upgrade, no loop over members, and the cost of a round does not depend on how many clients
     took part. The order of this file is: pragmas, interfaces, flags, structs, constants, immutables, storage, events,
     constructor, external (membership, keys, runs, rounds, rewards, evidence, views), internal.

     Rules that hold everywhere:
       (1) every state change emits an event;
       (2) checks, then effects, then calls of tokens; and no function can be entered while another one runs;
       (3) exits (withdraw, dropConsent, settle, vote, setKeys, claim, closeRun) work while the ledger is paused;
       (4) ids bind who made them: run = keccak256(sponsor, terms), model = keccak256(run, round, artifact);
       (5) what is signed binds chain, contract, run, round and member by EIP-712;
       (6) Merkle leaves are hashed twice, so that no inner node can be shown as a leaf.

     Vyper gives each field of a struct a slot of its own. Small numbers that change together are therefore packed into
     one word by hand (`_packRun`, `_packRound`, and pairs of 128 bits); views return them unpacked. Compiled for size,
     because EIP-170 allows 24,576 bytes; that costs 0.3 % of gas.

     Privacy budget. A holder grants every data set a budget. Its consent to a run sets aside all that the run may still
     spend, or is refused. A round names its cost when it opens and spends it once, for all data sets of the run, when it
     is committed: one number, however many holders there are. When the consent or the run ends, what was not spent is
     free again. So what runs spend of a data set never exceeds its budget, across runs and researchers.
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
    # @dev Privacy budget: the most that rounds may spend, and what they have spent.
    budget: uint256
    spent: uint256
    # @dev Deposited and not promised.
    escrow: uint256
    # @dev Promised by finalised rounds.
    allocated: uint256
    claimed: uint256

struct Round:
    state: uint8
    # @dev Privacy budget that the round spends when it is committed.
    cost: uint256
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

struct DataBudget:
    # @dev Most that runs may ever spend of this data set.
    granted: uint256
    # @dev Set aside for accepted runs that are not settled: what they have spent and may still spend.
    reserved: uint256
    # @dev Spent in settled runs.
    spent: uint256

struct Pledge:
    # @dev Commitment to the data set; empty when there is no pledge.
    dataset: bytes32
    # @dev What the run had spent when it was accepted.
    since: uint256

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
    # @dev From the low bits up: budget 128, spent 128.
    privacy: uint256
    # @dev From the low bits up: escrow 128, allocated 128.
    money: uint256
    claimed: uint256

struct RoundProgress:
    state: uint8
    count: uint32
    includedCount: uint32
    cost: uint256

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

# @dev States of a run; 0 when there is none.
RUN_OPEN: constant(uint8) = 1
RUN_CLOSING: constant(uint8) = 2
RUN_CLOSED: constant(uint8) = 3
RUN_STOPPED: constant(uint8) = 4

# @dev States of a round; 0 when there is none.
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
# @dev The lower of two numbers that share a word.
LOW: constant(uint256) = 2**128 - 1

# @dev Half the order of secp256k1, rounded down: a valid signature has `s` no larger (EIP-2).
HALF_ORDER: constant(uint256) = 57_896_044_618_658_097_711_785_492_504_343_953_926_418_782_139_537_452_191_302_581_570_759_080_747_168

# @dev EIP-712 types.
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

# @dev Whether new work is stopped; exits never are.
paused: public(bool)
# @dev Votes that an act needs.
threshold: public(uint32)
# @dev Accounts with roles.
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
# @dev run -> its record; read it by `runs`
_runs: HashMap[bytes32, RunSlots]
# @dev run -> number -> record of the round; read it by `round`
_rounds: HashMap[bytes32, HashMap[uint32, RoundSlots]]
# @dev model id -> its record; read it by `models`
_models: HashMap[bytes32, ModelSlots]
# @dev holder -> commitment to a data set -> its privacy budget
budgetOf: public(HashMap[address, HashMap[bytes32, DataBudget]])
# @dev run -> holder -> the data set of its consent, until the run is settled
pledgeOf: public(HashMap[bytes32, HashMap[address, Pledge]])

# --------------------------------------------------------------------------------------------------------------- events

# @notice An account became a member, as a founder or by vote.
# @param member The account.
# @param roles What it may do.
# @param info Digest of the reason; empty for founders.
event MemberAdmitted:
    member: indexed(address)
    roles: Role
    info: bytes32

# @notice A vote took an account's roles away.
# @param member The account.
# @param info Digest of the reason.
event MemberRemoved:
    member: indexed(address)
    info: bytes32

# @notice The number of votes that an act needs was set, by vote, at the foundation, or because members became too few.
# @param threshold The number.
event ThresholdSet:
    threshold: uint32

# @notice A member voted for an act. The act's own event follows when this vote executed it.
# @param proposal Id under which the votes are counted.
# @param voter The member.
# @param act The act.
# @param subject As in `vote`.
# @param roles As in `vote`.
# @param info As in `vote`.
# @param votes How many there are now, this one included.
event Vote:
    proposal: indexed(bytes32)
    voter: indexed(address)
    act: Act
    subject: address
    roles: Role
    info: bytes32
    votes: uint32

# @notice New work was stopped, or goes on.
# @param by Who paused, or cast the last vote.
# @param paused Whether it is stopped now.
event Paused:
    by: indexed(address)
    paused: bool

# @notice A member registered a key set.
# @param member The member.
# @param signer Address of the key that signs contributions.
# @param epoch Number of the key set, from 1.
# @param encryption Digest of the transport key bundle.
event KeysSet:
    member: indexed(address)
    signer: indexed(address)
    epoch: uint32
    encryption: bytes32

# @notice A sponsor created a run.
# @param run The run.
# @param sponsor Who paid the escrow and gets the rest.
# @param coordinator Who runs the rounds.
# @param terms Digest of the terms.
# @param token Contract of the rewards; may be zero.
# @param escrow What was deposited.
event RunCreated:
    run: indexed(bytes32)
    sponsor: indexed(address)
    coordinator: indexed(address)
    terms: bytes32
    token: address
    escrow: uint256

# @notice A holder's consent was given, withdrawn, or struck because it is a holder no more.
# @param run The run.
# @param holder The holder.
# @param given Whether it consents now.
# @param accepted How many holders consent now.
event Consent:
    run: indexed(bytes32)
    holder: indexed(address)
    given: bool
    accepted: uint32

# @notice A holder set the privacy budget of a data set.
# @param holder The holder.
# @param dataset Commitment to the data set.
# @param granted Most that runs may ever spend of it.
event BudgetGranted:
    holder: indexed(address)
    dataset: indexed(bytes32)
    granted: uint256

# @notice A holder consented with a data set; what the run may still spend was set aside.
# @param run The run.
# @param holder The holder.
# @param dataset Commitment to the data set.
# @param amount What was set aside.
event BudgetReserved:
    run: indexed(bytes32)
    holder: indexed(address)
    dataset: indexed(bytes32)
    amount: uint256

# @notice The consent or the run ended; what was set aside and not spent is free again.
# @param run The run.
# @param holder The holder.
# @param dataset Commitment to the data set.
# @param spent What the run spent of it since the consent.
event BudgetSettled:
    run: indexed(bytes32)
    holder: indexed(address)
    dataset: indexed(bytes32)
    spent: uint256

# @notice A model without a parent was put on record.
# @param run The run.
# @param artifact SHA-256 of the file.
# @param model Its id.
# @param metrics Commitment to its metrics.
event RootRegistered:
    run: indexed(bytes32)
    artifact: indexed(bytes32)
    model: bytes32
    metrics: bytes32

# @notice A round began.
# @param run The run.
# @param round Its number.
# @param parent Id of the model trained from.
# @param header Digest of the round header.
# @param cost Privacy budget that it spends when it is committed.
event RoundOpened:
    run: indexed(bytes32)
    round: indexed(uint32)
    parent: bytes32
    header: bytes32
    cost: uint256

# @notice V was fixed, and the round's privacy budget spent.
# @param run The run.
# @param round Its number.
# @param root Merkle root of V.
# @param count Size of V.
# @param spent Privacy budget spent.
event RoundCommitted:
    run: indexed(bytes32)
    round: indexed(uint32)
    root: bytes32
    count: uint32
    spent: uint256

# @notice U was fixed; members may reveal.
# @param run The run.
# @param round Its number.
# @param root Merkle root of U.
# @param count Size of U.
# @param exclusions Digest of the exclusions and their reasons.
event RoundIncluded:
    run: indexed(bytes32)
    round: indexed(uint32)
    root: bytes32
    count: uint32
    exclusions: bytes32

# @notice A round's model was put on record, and its rewards were promised.
# @param run The run.
# @param round Its number.
# @param artifact SHA-256 of the model file.
# @param model Its id.
# @param parent Id of the model trained from.
# @param aggregateKey Digest of the aggregate key.
# @param metrics Commitment to the metrics.
# @param rewardsRoot Root of the cumulative rewards; empty when nothing is paid.
# @param reward What was moved from the escrow.
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

# @notice A round was given up.
# @param run The run.
# @param round Its number.
event RoundAborted:
    run: indexed(bytes32)
    round: indexed(uint32)

# @notice A run opens no more rounds.
# @param run The run.
# @param closesAt Earliest time of the refund, seconds since 1970.
event RunClosing:
    run: indexed(bytes32)
    closesAt: uint64

# @notice A run is over.
# @param run The run.
# @param state 3 closed, 4 stopped by vote.
event RunClosed:
    run: indexed(bytes32)
    state: uint8

# @notice A sponsor got back what no round had promised.
# @param run The run.
# @param sponsor The sponsor.
# @param amount How much.
event Refunded:
    run: indexed(bytes32)
    sponsor: indexed(address)
    amount: uint256

# @notice An account was paid.
# @param run The run.
# @param account The account.
# @param amount How much.
event Claimed:
    run: indexed(bytes32)
    account: indexed(address)
    amount: uint256

# @notice A member disputes a round or a run.
# @param run The run.
# @param round The round; 0 for the run as a whole.
# @param member Who objects.
# @param reason Digest of the statement.
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
    self._require(count > 0 and count == len(roles), "founders and roles do not match")
    self._require(threshold > 0 and convert(threshold, uint256) <= count, "threshold is out of range")
    for i: uint256 in range(count, bound=MAX_FOUNDERS):
        founder: address = founders[i]
        self._require(founder != empty(address), "subject is the zero address")
        self._require(roles[i] != empty(Role), "roles are empty")
        self._require(self.member[founder].roles == empty(Role), "subject is a member already")
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
    self._require(self.member[msg.sender].roles != empty(Role), "caller is not a member")
    proposal: bytes32 = self._proposal(act, subject, roles, info)
    self._require(not self.voted[proposal][msg.sender], "caller has voted")
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
    self._require(entry.roles != empty(Role), "caller is not a member")
    self._require(encryption != empty(bytes32), "encryption key is empty")
    self._require(self.signerOf[signer] == empty(address), "key was used before")
    self._require(signer == msg.sender or self.member[signer].roles == empty(Role), "key is another member's account")
    epoch: uint32 = entry.epoch + 1
    digest: bytes32 = self._typed(keccak256(abi_encode(KEY_POSSESSION_TYPE, msg.sender, epoch, encryption)))
    self._require(signer != empty(address) and self._recover(digest, possession) == signer, "possession of the key is not proven")
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
    self._require(run == keccak256(abi_encode(msg.sender, terms)), "run id does not bind sponsor and terms")
    self._require(self._runs[run].progress == 0, "run exists already")
    self._require(terms != empty(bytes32), "terms are empty")
    self._require(minClients > 0 and maxRounds > 0, "fewest clients or most rounds is zero")
    self._require(budget <= LOW and escrow <= LOW, "budget or escrow has more than 128 bits")
    self._require(closingDelay <= MAX_CLOSING_DELAY, "closing delay is too long")
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
        privacy=budget,
        money=escrow,
        claimed=0,
    )
    log RunCreated(
        run=run, sponsor=msg.sender, coordinator=coordinator, terms=terms, token=token.address, escrow=escrow
    )
    if escrow > 0:
        self._deposit(token, msg.sender, escrow)


@external
def grantBudget(dataset: bytes32, granted: uint256):
    """
    @notice The caller, a holder, says how much privacy budget runs may ever spend of a data set.
    @param dataset Salted commitment to the data set.
    @param granted The new limit, in the unit of the terms; not below what is spent or reserved already.
    @dev Works while paused. A holder can raise its own limit; it cannot do so in silence.
    """
    self._requireRole(msg.sender, Role.HOLDER)
    self._require(dataset != empty(bytes32), "data set is empty")
    taken: uint256 = self.budgetOf[msg.sender][dataset].reserved + self.budgetOf[msg.sender][dataset].spent
    self._require(granted >= taken, "data set has less budget left")
    self.budgetOf[msg.sender][dataset].granted = granted
    log BudgetGranted(holder=msg.sender, dataset=dataset, granted=granted)


@external
def accept(run: bytes32, terms: bytes32, dataset: bytes32):
    """
    @notice The caller, a holder with keys, consents to the run, and sets aside all that the run may still spend from
            the budget of the data set that it will use.
    @param run The run.
    @param terms Digest of the terms that the holder has read; must be the run's.
    @param dataset Salted commitment to the data set; may be empty when the run has no budget to spend.
    """
    self._requireLive()
    self._requireRole(msg.sender, Role.HOLDER)
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    self._require(progress.state == RUN_OPEN, "run is not OPEN")
    self._require(self._runs[run].terms == terms, "terms are not the run's")
    self._require(self.consent[run][msg.sender] == empty(bytes32), "consent was given already")
    self._require(self.member[msg.sender].epoch > 0, "caller has no keys")
    self.consent[run][msg.sender] = terms
    progress.accepted += 1
    self._runs[run].progress = self._packRun(progress)
    log Consent(run=run, holder=msg.sender, given=True, accepted=progress.accepted)
    privacy: uint256 = self._runs[run].privacy
    since: uint256 = privacy >> 128
    amount: uint256 = (privacy & LOW) - since
    if amount > 0 or dataset != empty(bytes32):
        self._require(dataset != empty(bytes32), "data set is empty")
        budget: DataBudget = self.budgetOf[msg.sender][dataset]
        self._require(amount <= budget.granted - budget.reserved - budget.spent, "data set has less budget left")
        self.budgetOf[msg.sender][dataset].reserved = budget.reserved + amount
        self.pledgeOf[run][msg.sender] = Pledge(dataset=dataset, since=since)
        log BudgetReserved(run=run, holder=msg.sender, dataset=dataset, amount=amount)


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
    self._require(Role.HOLDER not in self.member[holder].roles, "account is still a holder")
    self._strikeConsent(run, holder)


@external
def settle(run: bytes32, holder: address):
    """
    @notice Frees what a run that opens no more rounds did not spend of a holder's data set. Anyone. The consent stays.
    @param run The run; must be CLOSING, CLOSED or STOPPED.
    @param holder Whose data set.
    """
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    self._require(progress.state > RUN_OPEN, "run can open rounds")
    self._require(self.pledgeOf[run][holder].dataset != empty(bytes32), "nothing to settle")
    self._settle(run, holder, progress)


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
    self._require(msg.sender == sponsor or msg.sender == self._runs[run].coordinator, "caller is neither coordinator nor sponsor")
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    if progress.state == RUN_STOPPED:
        self._require(self._runs[run].money & LOW > 0, "escrow is empty")
        self._refund(run, sponsor)
        return
    self._require(progress.state in [RUN_OPEN, RUN_CLOSING], "run is closed")
    if progress.opened > 0:
        latest: uint8 = self._unpackRound(self._rounds[run][progress.opened].progress).state
        self._require(latest not in [ROUND_COMMITTED, ROUND_INCLUDED], "a round is committed")
    if progress.state == RUN_OPEN:
        progress.state = RUN_CLOSING
        progress.closesAt = convert(block.timestamp, uint64) + self._runs[run].closingDelay
        self._runs[run].progress = self._packRun(progress)
        log RunClosing(run=run, closesAt=progress.closesAt)
        return
    self._require(block.timestamp >= convert(progress.closesAt, uint256), "closing delay is not over")
    progress.state = RUN_CLOSED
    self._runs[run].progress = self._packRun(progress)
    log RunClosed(run=run, state=RUN_CLOSED)
    if self._runs[run].money & LOW > 0:
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
def openRound(run: bytes32, n: uint32, parent: bytes32, header: bytes32, cost: uint256):
    """
    @notice Opens the next round: from now on members may train from `parent` under `header`.
    @param run The run.
    @param n One more than the latest round, which must be finalised or aborted.
    @param parent Id of a model on this ledger.
    @param header Digest of the round header.
    @param cost Privacy budget that the round will spend of every data set whose holder consents.
    """
    progress: RunProgress = self._requireCoordinator(run)
    self._requireOpen(progress)
    self._require(n == progress.opened + 1, "round is not the next one")
    if progress.opened > 0:
        latest: uint8 = self._unpackRound(self._rounds[run][progress.opened].progress).state
        self._require(latest in [ROUND_FINALISED, ROUND_ABORTED], "latest round is not over")
    self._require(progress.finalised < progress.maxRounds, "run has had its rounds")
    self._require(progress.accepted >= progress.minClients, "too few holders consent")
    self._require(self._models[parent].run != empty(bytes32), "parent is not on the ledger")
    self._require(header != empty(bytes32), "header is empty")
    privacy: uint256 = self._runs[run].privacy
    self._require(cost <= (privacy & LOW) - (privacy >> 128), "privacy budget is exceeded")
    progress.opened = n
    self._runs[run].progress = self._packRun(progress)
    self._rounds[run][n].progress = self._packRound(RoundProgress(state=ROUND_OPEN, count=0, includedCount=0, cost=cost))
    self._rounds[run][n].parent = parent
    self._rounds[run][n].header = header
    log RoundOpened(run=run, round=n, parent=parent, header=header, cost=cost)


@external
def commitRound(run: bytes32, n: uint32, root: bytes32, count: uint32):
    """
    @notice Fixes V, the set of accepted contributions, once, and spends what the round costs.
    @param run The run.
    @param n The round; must be OPEN.
    @param root Merkle root over (address member, bytes32 contribution digest).
    @param count How many, from the run's fewest clients to the holders who consent.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    self._require(progress.state == ROUND_OPEN, "round is not OPEN")
    self._require(root != empty(bytes32), "root is empty")
    self._require(count >= limits.minClients and count <= limits.accepted, "count is out of range")
    if progress.cost > 0:
        self._runs[run].privacy += progress.cost << 128
    progress.state = ROUND_COMMITTED
    progress.count = count
    self._rounds[run][n].progress = self._packRound(progress)
    self._rounds[run][n].root = root
    log RoundCommitted(run=run, round=n, root=root, count=count, spent=progress.cost)


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
    self._require(progress.state == ROUND_COMMITTED, "round is not COMMITTED")
    self._require(root != empty(bytes32), "root is empty")
    self._require(count >= limits.minClients and count <= progress.count, "count is out of range")
    self._require((count == progress.count) == (root == self._rounds[run][n].root), "root and count contradict the accepted set")
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
    self._require(progress.state == ROUND_INCLUDED, "round is not INCLUDED")
    self._require(aggregateKey != empty(bytes32), "aggregate key is empty")
    self._require((reward == 0) == (rewardsRoot == empty(bytes32)), "reward and rewards root do not match")
    model: bytes32 = self._record(run, n, artifact, metrics, aggregateKey)
    progress.state = ROUND_FINALISED
    self._rounds[run][n].progress = self._packRound(progress)
    self._rounds[run][n].model = model
    limits.finalised += 1
    self._runs[run].progress = self._packRun(limits)
    if reward > 0:
        money: uint256 = self._runs[run].money
        self._require(reward <= money & LOW, "reward exceeds the escrow")
        self._runs[run].money = money - reward + (reward << 128)
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
    @notice Gives a round up. What it spent when it was committed stays spent: what was answered cannot be taken back.
    @param run The run.
    @param n The round; must be OPEN, COMMITTED or INCLUDED.
    """
    limits: RunProgress = self._requireCoordinator(run)
    progress: RoundProgress = self._unpackRound(self._rounds[run][n].progress)
    self._require(progress.state in [ROUND_OPEN, ROUND_COMMITTED, ROUND_INCLUDED], "round is not under way")
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
    self._require(root != empty(bytes32), "round has no rewards")
    leaf: bytes32 = keccak256(keccak256(abi_encode(run, account, cumulative)))
    self._require(self._root(leaf, proof) == root, "proof does not lead to the rewards root")
    before: uint256 = self.claimedOf[run][account]
    self._require(cumulative > before, "nothing to claim")
    amount: uint256 = cumulative - before
    claimed: uint256 = self._runs[run].claimed
    self._require(amount <= (self._runs[run].money >> 128) - claimed, "claims exceed what was promised")
    self.claimedOf[run][account] = cumulative
    self._runs[run].claimed = claimed + amount
    log Claimed(run=run, account=account, amount=amount)
    self._require(extcall self._runs[run].token.transfer(account, amount, default_return_value=True), "token refused the transfer")


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
    self._require(self._runs[run].progress != 0 and n <= opened, "round does not exist")
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
        budget=slots.privacy & LOW,
        spent=slots.privacy >> 128,
        escrow=slots.money & LOW,
        allocated=slots.money >> 128,
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
        cost=progress.cost,
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
@pure
def _require(holds: bool, rule: String[64]):
    """
    @dev Reverts when a rule is broken. One function for all rules: `assert` would put the same 130 bytes around every
         sentence, and the contract would not fit EIP-170.
    @param holds Whether the rule is kept.
    @param rule The rule, as the end of the sentence that the caller gets to read.
    """
    assert holds, concat("training_ledger: ", rule)


@internal
@view
def _requireLive():
    """
    @dev New work needs a ledger that is not paused.
    """
    self._require(not self.paused, "ledger is paused")


@internal
@view
def _requireRole(who: address, allowed: Role):
    """
    @dev A removed member has no roles.
    @param who The account.
    @param allowed Any of these is enough.
    """
    self._require((self.member[who].roles & allowed) != empty(Role), "account lacks the role")


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
    self._require(progress.state in [RUN_OPEN, RUN_CLOSING], "run is not OPEN or CLOSING")
    self._require(self._runs[run].coordinator == msg.sender, "caller is not the run's coordinator")
    self._requireRole(msg.sender, Role.COORDINATOR)
    return progress


@internal
@pure
def _requireOpen(progress: RunProgress):
    """
    @dev Nothing new is begun in a run that closes.
    @param progress The run's small numbers.
    """
    self._require(progress.state == RUN_OPEN, "run is not OPEN")


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
        self._require(subject != empty(address), "subject is the zero address")
        self._require(roles != empty(Role), "roles are empty")
        self._require(self.member[subject].roles == empty(Role), "subject is a member already")
        owner: address = self.signerOf[subject]
        self._require(owner == empty(address) or owner == subject, "subject is another member's key")
        self.member[subject].roles = roles
        self.member[subject].since = convert(block.number, uint64)
        self.memberCount += 1
        log MemberAdmitted(member=subject, roles=roles, info=info)
    elif act == Act.REMOVE:
        self._require(self.member[subject].roles != empty(Role), "subject is not a member")
        remaining: uint32 = self.memberCount - 1
        self._require(remaining > 0, "subject is the last member")
        self.member[subject].roles = empty(Role)
        self.member[subject].since = 0
        self.memberCount = remaining
        log MemberRemoved(member=subject, info=info)
        if self.threshold > remaining:
            self.threshold = remaining
            log ThresholdSet(threshold=remaining)
    elif act == Act.THRESHOLD:
        wanted: uint256 = convert(info, uint256)
        self._require(wanted > 0 and wanted <= convert(self.memberCount, uint256), "threshold is out of range")
        self.threshold = convert(wanted, uint32)
        log ThresholdSet(threshold=self.threshold)
    elif act == Act.UNPAUSE:
        self._require(self.paused, "ledger is not paused")
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
    self._require(progress.state in [RUN_OPEN, RUN_CLOSING], "run is not OPEN or CLOSING")
    progress.state = RUN_STOPPED
    self._runs[run].progress = self._packRun(progress)
    log RunClosed(run=run, state=RUN_STOPPED)
    amount: uint256 = self._runs[run].money & LOW
    if amount == 0:
        return
    sponsor: address = self._runs[run].sponsor
    self._runs[run].money -= amount
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
        self._runs[run].money += amount


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
    self._require(extcall token.transferFrom(sponsor, self, amount, default_return_value=True), "token refused the transfer")
    self._require(staticcall token.balanceOf(self) == before + amount, "token did not deliver the amount")


@internal
def _refund(run: bytes32, sponsor: address):
    """
    @dev Returns a run's escrow.
    @param run The run.
    @param sponsor Who gets it.
    """
    amount: uint256 = self._runs[run].money & LOW
    self._runs[run].money -= amount
    log Refunded(run=run, sponsor=sponsor, amount=amount)
    self._require(extcall self._runs[run].token.transfer(sponsor, amount, default_return_value=True), "token refused the transfer")


@internal
def _strikeConsent(run: bytes32, holder: address):
    """
    @dev Ends a consent.
    @param run The run.
    @param holder Whose consent.
    """
    self._require(self.consent[run][holder] != empty(bytes32), "consent was not given")
    self.consent[run][holder] = empty(bytes32)
    progress: RunProgress = self._unpackRun(self._runs[run].progress)
    progress.accepted -= 1
    self._runs[run].progress = self._packRun(progress)
    log Consent(run=run, holder=holder, given=False, accepted=progress.accepted)
    if self.pledgeOf[run][holder].dataset != empty(bytes32):
        self._settle(run, holder, progress)


@internal
def _settle(run: bytes32, holder: address, progress: RunProgress):
    """
    @dev Turns what was set aside for a run into what the run spent since. A round that is open counts as if it were
         committed, for the holder may have answered it already; unless the run is over.
    @param run The run.
    @param holder Whose data set; there is a pledge.
    @param progress The run's small numbers.
    """
    pledge: Pledge = self.pledgeOf[run][holder]
    privacy: uint256 = self._runs[run].privacy
    spent: uint256 = (privacy >> 128) - pledge.since
    latest: RoundProgress = self._unpackRound(self._rounds[run][progress.opened].progress)
    if latest.state == ROUND_OPEN and progress.state <= RUN_CLOSING:
        spent += latest.cost
    self.budgetOf[holder][pledge.dataset].reserved -= (privacy & LOW) - pledge.since
    self.budgetOf[holder][pledge.dataset].spent += spent
    self.pledgeOf[run][holder] = empty(Pledge)
    log BudgetSettled(run=run, holder=holder, dataset=pledge.dataset, spent=spent)


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
    self._require(artifact != empty(bytes32), "artifact is empty")
    model: bytes32 = keccak256(abi_encode(run, n, artifact))
    self._require(self._models[model].run == empty(bytes32), "model is on the ledger already")
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
    @dev From the low bits up: state 8, count 32, includedCount 32, cost 128.
    @param progress The numbers.
    @return One word.
    """
    return (
        convert(progress.state, uint256)
        | (convert(progress.count, uint256) << 8)
        | (convert(progress.includedCount, uint256) << 40)
        | (progress.cost << 72)
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
        cost=word >> 72,
    )
