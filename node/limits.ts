/**
 * Every bound in one place: what it guards, and what happens when it is reached.
 * Numbers marked "guess" were chosen by judgement and wait for a measurement.
 */
const KiB = 1024
const MiB = 1024 * KiB
const second = 1000

export const limits = {
  /** A topic name: it stands in every head and card. Longer: `InvalidTopic`. */
  topicBytesMax: 249,
  /** One record with key and headers (memory at every carrier). Larger: `RecordTooLarge`. */
  recordBytesMax: 16 * MiB,
  /** A record's key. Longer: `RecordTooLarge`. */
  keyBytesMax: 4 * KiB,
  /** A record's headers altogether. Larger: `RecordTooLarge`. */
  headerBytesMax: 64 * KiB,
  /**
   * Where the sealing of a batch stops (latency, memory). More waits for the next batch. One large record is a batch of its own. Measured with a
   * fan-out to seven, where a batch costs each of them a millisecond whatever is in it: half of this takes a sixth off the rate, twice this adds
   * nothing.
   */
  batchBytesMax: 2 * MiB,
  batchRecordsMax: 20_000,
  /** A body on the wire or after decompression: one record of the largest size and its framing. Larger: the batch is invalid. */
  bodyBytesMax: 16 * MiB + 256 * KiB,
  /** A signed head on the wire. Larger: invalid. */
  headBytesMax: 1 * KiB,
  /**
   * Bodies up to this size travel inside the head's gossip message: they cost a copy per mesh link but save a round trip
   * (measured with the work of groups: 4 KiB instead of 1 took a tenth off what a record costs).
   */
  inlineBodyBytesMax: 4 * KiB,
  /** And up to this where its author sends it to all who carry the topic, so that nobody passes it on: it goes over each link once either way. */
  directBodyBytesMax: 16 * KiB,
  /** Nothing is left to its author to send while anybody came, went or subscribed so short a time ago: not all may know of it yet. */
  gossipCalmMs: 5 * second,
  /**
   * Records of batches opened last that stay open, of all peers of a process (where values compress, a group did a fifth more with them; where
   * they do not, as much).
   */
  openedBytesMax: 32 * MiB,
  /** Bodies below this are not worth compressing. */
  compressBytesMin: 4 * KiB,

  /** What publishes may hold in memory before they are on disk. More: `QueueFull` (publishMany waits instead). */
  publishQueueBytesMax: 64 * MiB,
  /** How long a publish waits for its confirmations unless told otherwise. Then `ConfirmTimeout`. */
  confirmTimeoutMs: 30 * second,
  /** Batches awaiting confirmation per topic: the sealing of more waits. */
  unconfirmedBatchesMax: 1_000,

  /** Segment files are closed at this size: the unit that retention drops and recovery scans. */
  segmentBytesMax: 64 * MiB,
  /** How fast what was not read when it was opened is looked at for damage, for the whole peer. Disk and processor are for others (guess). */
  scrubBytesPerSecond: 32 * MiB,
  /** Bytes in one group commit: bounds the memory and the delay of the first in it. */
  commitBytesMax: 8 * MiB,
  /** Zeros that are written ahead of a file that grows. */
  roomBytesMax: 1 * MiB,
  /** Bodies kept in memory after storing or reading, for the whole peer: what live readers and fetching friends are served from. */
  cacheBytesMax: 32 * MiB,
  /** How long a reader waits at a damaged place for a friend to have the batch before going on without it. */
  repairWaitMs: 30 * second,
  /** Batches held in memory until all that belong into one damaged place are here, per topic. More: the place is given up. */
  repairBytesMax: 32 * MiB,
  /** Lost batches named at a time, per topic. The others follow when these are repaired. */
  holesMax: 10_000,
  /** Segment files open at a time, for the whole peer. More: the one used longest ago is closed. */
  openFilesMax: 128,
  /** Feeds remembered per topic after retention has dropped all they had, so that they are not fetched again. More: those begun first are forgotten. */
  emptiedFeedsMax: 10_000,
  /** How much later than its head's time the newest record of a batch may be: where reading from a time must begin earlier (guess). */
  batchSpanMsMax: 60 * second,
  /** Feeds known per topic (each costs some 200 B). More: new feeds are refused. */
  feedsPerTopicMax: 100_000,
  /** Topics one peer carries. More: asking to carry is refused. */
  topicsMax: 100_000,

  /** Friends we look for below this, and shed above that. */
  friendsMin: 4,
  friendsMax: 8,
  /** A friend is not shed sooner (measuring it takes a few pings), and these many of the nearest are kept. */
  friendshipMsMin: 10 * second,
  friendsNear: 3,
  /** Connections left to others who dial us: we do not dial above the maximum less these. */
  connectionsSpare: 16,
  /** A peer met by chance is tried this often, and one that was lost this often. */
  trialMs: 30 * second,
  lostTrialMs: 5 * second,
  /** A peer found nearby is left this long to make itself known through others, unless we have few friends. */
  foundMs: 2 * second,
  /** Peers found nearby that are kept, and for how long without a card of theirs. More: the one found longest ago goes. */
  foundMax: 1_000,
  foundKeptMs: 300 * second,
  /** Changes within this time make one decision. */
  decideMs: 20,
  /** Time for a farewell to be read before the connection goes. */
  farewellMs: 200,
  /** Addresses to join. More: refused. */
  joinsMax: 1_000,
  /** A friend lost again so soon after it was redialled counts as gone. */
  flapMs: 10 * second,
  /** Peers to be asked to carry something once they are connected. More: the oldest requests go, the asker asks again. */
  carryRequestsMax: 1_000,
  /** A friend that said goodbye is not dialled before this. */
  byeMs: 30 * second,
  /** A connection on which the friends protocol does not open is hung up after this. */
  acquaintMs: 15 * second,
  /** Peers in backoff that are remembered. More: the oldest may be tried sooner. */
  backoffsMax: 10_000,
  /** Hashes kept for the rings of carriers. More: computed again. */
  ringHashesMax: 100_000,
  /** Addresses of peers remembered over a restart. More: the one heard of longest ago goes. */
  rememberedMax: 256,
  /** How often they are written, when there is news. */
  rememberMs: 2 * second,
  /** Entries of one digest of cards. More: the frame is malformed; larger digests take several. */
  digestEntriesMax: 4_096,
  /** News of cards within this time is passed on in one frame. */
  cardSpreadMs: 100,
  /** On meeting, so many cards are sent unasked; a larger mesh sends a digest first. */
  meetingCards: 32,
  /** Violations of a protocol within `misbehaviourMs` after which a peer is hung up, and how long it then stays out. */
  misbehavioursMax: 5,
  misbehaviourMs: 60 * second,
  banMs: 300 * second,
  /** Peers whose violations are remembered. More: the oldest are forgiven. */
  offendersMax: 1_000,
  /** Connections that are refused above this (file descriptors, gossip work). */
  connectionsMax: 64,
  /** Friends wanted among the carriers of each topic we carry or publish to: below three, one loss can cut a topic in two. */
  carrierFriendsMin: 3,
  /** How often the friend policy looks at its friends; a loss is looked at in the same moment. */
  friendTickMs: 1 * second,
  /** Reconnect backoff: doubles from the first to the last, for ever, with jitter. */
  backoffMsMin: 500,
  backoffMsMax: 30 * second,
  dialTimeoutMs: 5 * second,
  /** Of that, what one address may take before the next is tried: some addresses of a peer lead nowhere from here. */
  addressDialMs: 1_500,
  /** How often a random sample of cards is shuffled with a random friend. */
  shuffleMs: 10 * second,
  shuffleCards: 32,

  /** A card is renewed this often (longer in large meshes: `cardRenewPerPeerMs` a peer), and forgotten after three missed renewals. */
  cardRenewMs: 10 * second,
  cardRenewPerPeerMs: 100,
  /** A signed card. Topics that do not fit are left out and the card says so. */
  cardBytesMax: 64 * KiB,
  /** Cards kept. More: the one heard of longest ago goes. */
  cardsMax: 10_000,
  addressesPerCardMax: 16,
  /** No card holds longer than this without renewal: three renewals in a mesh of `cardsMax`. Longer: invalid. */
  cardTtlMsMax: 3_600 * second,
  /** Changes of what we carry within this time make one new card. */
  cardCoalesceMs: 50,
  /** How often expired cards are looked for. */
  cardSweepMs: 1 * second,

  /** One frame of the friends or sync protocol. Larger: the stream is closed and the friend counted as misbehaving. */
  frameBytesMax: 256 * KiB,
  /**
   * Bodies are sent in pieces of this size, so that a small frame never waits for a large body. A piece and what goes before it fit into one
   * message of the encryption, which has 65,519 bytes of text at most.
   */
  chunkBytes: 65_024,
  /**
   * What may be waiting to be sent to one peer before senders must wait: small enough that a control frame behind it is not late.
   * A peer that lets control frames pile up beyond ten times this is dropped.
   */
  linkBufferBytesMax: 1 * MiB,
  /** Frames received and not yet handled, per link. More: the stream's window closes and the sender waits. */
  readAheadBytes: 512 * KiB,
  /** Streams of one protocol a peer may have open to us: one, and those that are just being replaced. */
  linkStreamsMax: 8,
  /** A broken link is opened again after this, doubling up to the second while the other side does not take it. */
  linkRetryMsMin: 50,
  linkRetryMsMax: 2 * second,

  /** How long the handling of what came before a stream's end may take before the link counts as closed. */
  lastWordsMs: 500,

  /** Handshakes under way from outside, and new ones a second from one address. More: closed unseen. */
  handshakesMax: 32,
  handshakesPerSecondMax: 64,
  /** What one side says before the encryption begins: two names of protocols and the first message of the handshake, 62 bytes. More: cut. */
  helloBytesMax: 1 * KiB,
  /** Dials under way at one time. More wait their turn. */
  dialsMax: 8,
  /** A friend that was lost is dialled once more at once, with this little patience, before it counts as gone. */
  redialMs: 2 * second,
  /** How long an orderly hang-up may take before the connection is cut. */
  hangUpMs: 1 * second,
  /** Streams one connection may have open in each direction (two per protocol are used). More: reset. */
  streamsPerConnectionMax: 64,
  /** A stream's receive window grows up to this: throughput x round trip, and memory for a reader that pauses. */
  windowBytesMax: 4 * MiB,
  /** A second connection between the same two peers is closed after this; both may have dialled at once. */
  duplicateMs: 500,
  /** Of two connections whose openings lie further apart than this, the older one is dead: its other end dialled again. */
  staleMs: 2 * second,
  /** Round trips are measured this often; a friend of whom nothing at all was heard for `silentMs` is hung up. */
  pingMs: 3 * second,
  silentMs: 10 * second,
  /** What a peer that looks at the mesh asks all others, and what each says to it. Larger: invalid, or not sent. */
  surveyQuestionBytesMax: 1 * KiB,
  surveyAnswerBytesMax: 32 * KiB,
  /** Friends of friends so far away are asked (a guess: thousands of peers are within six). */
  surveyHopsMax: 16,
  /** How long answers to a question find their way back. */
  surveyMs: 10 * second,
  /** New questions that one friend may bring, its own or those of others. More: dropped. */
  surveysPerSecond: 20,
  /** Questions whose way back is remembered. More: the oldest is forgotten. */
  surveysMax: 1_000,
  /** Questions that a peer answers at once. More are passed on only. */
  surveyAnsweringMax: 32,
  /** Friends and topics that a peer tells of itself. More: those with most to tell are told. */
  meshFriendsMax: 100,
  meshTopicsMax: 100,
  /** How long a peer whose disk was full says so: as long as it may take until the next write (guess). */
  storageFullMs: 60 * second,
  /** What went wrong that a peer tells of in its status. More: the oldest is forgotten. */
  troublesMax: 50,
  /** Topics of which metrics are told. More: those that take most. */
  metricsTopicsMax: 1_000,
  /** Records of a batch whose hops are told where they are traced. More: the first. */
  tracedPerBatchMax: 100,
  /** Batches of which is remembered which friend they came from (some 200 B each). More: the oldest are forgotten. */
  travelBatchesMax: 20_000,
  /** Answers passed on, or taken, to one question. More: dropped. */
  surveyAnswersMax: 2_000,
  /** A socket without traffic is closed by the system side after this: pings keep a living one busy. */
  socketIdleMs: 60 * second,
  /** A refused address is reported this often at most, and so many addresses are remembered for that. */
  refusedEveryMs: 10 * second,
  refusedRemembered: 1_000,
  /** How often the library's notes about peers that are gone are dropped. */
  peerStoreSweepMs: 60 * second,

  /** How often the folder of running peers is looked into, and how much of it is read. */
  rendezvousMs: 1 * second,
  rendezvousPeersMax: 1_000,
  rendezvousFileBytesMax: 16 * KiB,
  /** How often the local network is asked who is there. */
  multicastMs: 10 * second,
  /** How often a name that stands for peers is looked up, how often an address of it is dialled whose peer is not connected, how many of its addresses count, and the port where none is said. */
  nameMs: 5 * second,
  nameAgainMs: 60 * second,
  nameAddressesMax: 100,
  defaultPort: 4_001,

  /** One gossipsub message: at most the names of all our topics. Larger: the stream is dropped and opened again. */
  gossipRpcBytesMax: 8 * MiB,
  /** What gossipsub may have waiting for one peer (it ignores backpressure). More: the stream is dropped and opened again. */
  gossipBufferBytesMax: 16 * MiB,
  /** Memory for one peer's subscriptions, about 1 KiB each; only topics we gossip ourselves count at all. */
  gossipTopicBytesMax: 128 * MiB,
  /** Subscriptions of one peer to topics we do not gossip that are remembered in case we will. More: anti-entropy brings the heads. */
  gossipOthersMax: 10_000,
  /** How often gossip streams that died are looked for. */
  gossipTendMs: 1 * second,

  /** Anti-entropy: digests go to each friend this often, and at once on connecting. */
  digestMs: 2 * second,
  /** Bytes asked for in one want. */
  wantBytes: 4 * MiB,
  /** Wants in flight per feed (pipelining) and altogether. More waits its turn. */
  wantsPerFeed: 2,
  wantsMax: 16,
  /** Wants in flight at one friend: one that does not answer leaves room for the others (guess). More waits its turn. */
  wantsAtFriend: 8,
  /** Feeds of which one friend is known to have more than we (some 500 B each). More: it tells of them again later. */
  offersAtFriend: 20_000,
  /** Wants one friend may have queued here. More: dropped, the friend asks again. */
  wantsPerFriendMax: 64,
  /** A friend that has removed what comes next of a feed is asked for the rest no sooner: another may still have all of it. */
  gapPatienceMs: 2 * second,
  /** A want without any progress moves to another friend after this. */
  stallMs: 3 * second,
  /** Gossip messages held back until their body is stored. More: ignored, anti-entropy brings them. */
  pendingHeadsMax: 10_000,
  /** Forgotten by gossipsub after its message cache turns over (5 heartbeats of 1 s). */
  pendingHeadMs: 5 * second,

  /** Times on the wire, ms (the year 10889): below what a Date can hold even when a record's delta is added. Larger: invalid. */
  timeMsMax: 2 ** 48 - 1,
  /** Public keys kept parsed, with their peer ids (some 1 KiB each). More: the least recently used goes. */
  identitiesMax: 1_000,
  /** How far a remote clock may run ahead before our hybrid clock does not follow it. */
  clockAheadMsMax: 60 * second,

  /** Acknowledged ranges kept above the low-water mark of one feed. More: the subscription waits for the oldest record. */
  ackRangesMax: 10_000,
  /**
   * Records handed to a subscriber at a time. They die young, where collecting them costs least: a whole batch of 20,000
   * at a time takes a sixth off the rate of a fan-out to seven, and twice the heap.
   */
  deliveredMax: 1_000,
  /** Records delivered to one subscriber and not yet acknowledged. More: delivery waits. */
  unackedMax: 100_000,
  /** How often acknowledgements are shared with the other carriers. */
  cursorShareMs: 1 * second,
  /** How long a group's member may be silent before others take its slots, and how long a consumer has for a record, unless told otherwise. */
  groupLeaseMs: 5 * second,
  /** Below, a usual pause of a process loses slots. Above, nobody would wait for what a dead member held. Outside: `InvalidOption`. */
  groupLeaseMsMin: 1 * second,
  groupLeaseMsMax: 12 * 3_600 * second,
  /** Members beat this often; with leases below five beats, five times a lease. */
  groupBeatMs: 1 * second,
  /** Beats by which a holder's own lease is shorter than what the others wait: more than beats differ in how long they take to come (guess). */
  groupGuardBeats: 0.5,
  /** So long whoever comes says that it is there before it claims anything, where others are linked. */
  groupMeetBeats: 0.2,
  /** What was heard and changes what is claimed is told so long after the last beat at the earliest (guess): what comes at one time is told together. */
  groupSoonBeats: 0.1,
  /** A claim stands unopposed for so many beats, and is in two of them: leaves half a beat of lease + 2 s for reading what to deliver. */
  groupClaimBeats: 1.5,
  /** With a quorum, a claim that no majority tells of by then is made again under the next term. */
  groupClaimAgainBeats: 5,
  /** How long a slot that is to be handed over waits for what is on its way, and when it is tried again where that takes longer. */
  groupHandOverBeats: 2,
  groupHandOverPauseBeats: 10,
  /** A slot that was taken over from a dead member is not handed over for so many beats. */
  groupTakenBeats: 3,
  /** Who was silent for so many beats gets no slot that is free: it may be dead. What it holds it keeps for a lease. */
  groupSuspectBeats: 1.5,
  /** So long what nobody has waits for a member that just came and listens still, rather than to be claimed and handed over to it soon after. */
  groupNewcomerBeats: 3,
  /** How far `extend` may move the end of a record's lease from now: what SQS has. More: `InvalidOption`. */
  groupExtendMsMax: 12 * 3_600 * second,
  /** Members of one group that are remembered, some 200 B each. More: silent ones are forgotten, then newcomers are ignored. */
  groupMembersMax: 1_000,
  /** Consumers of one member that count for its share of the slots: more would not have one each. */
  groupSharesMax: 64,
  /** A turn of the event loop that lasts longer is interrupted: see `Clock.breathe`. */
  turnMs: 10,
  /** Members of a group that are silent, of which a beat says since when: those that fell silent last. */
  groupSilentMax: 100,
  /** Voters of a group with `quorum`: each beat names all. More: newcomers do not vote. */
  groupVotersMax: 100,
  /** A voter that was silent so long is dropped by those that have a majority. */
  groupVoterMs: 60 * second,
  /** Notices that may wait to be read at a member that claims slots (guess): those of a second or two. */
  groupUnreadMax: 256,
  /** It waits so long for what others have summed up. Then that is lost, and what it said is done again. */
  groupGapMs: 10 * second,
  /** Own beats of which it is remembered when they were sent: more than the longest of usual leases needs. */
  groupBeatsKept: 64,
  /** How far a slot's term may jump in one notice: nobody gets there by claiming, and the numbers must never run out. Further: ignored. */
  groupTermLead: 2 ** 32,
  /** Records of a member's slots that are known and not done, some 300 B each. More: it reads on when some are done. */
  groupBacklogMax: 5_000,
  /** Records one consumer may have at once. More: `InvalidOption`. */
  groupConcurrencyMax: 1_000,
  /** What falls due in a member is looked for at most so often: with many records that wait for their time, looking is work. */
  groupWakeMs: 20,
  /** How long whoever received a record of a queue has for it, unless told otherwise, as with SQS; and the least it can be told. */
  queueVisibilityMs: 30 * second,
  queueVisibilityMsMin: 100,
  /** Borrowed records come to their holder's hand later than the borrower believes: by a clock that drifts, and by notices on their way (guess). */
  groupLoanGraceMs: 2 * second,
  /** How long a borrower waits for an answer before it asks another. */
  groupLoanWaitMs: 2 * second,
  /** Loans of one member that are not settled; each has at most `groupConcurrencyMax` records. More: no answer. */
  groupLoansMax: 1_000,
  /** A member with records that nobody asks for says so at most so often, apart from its beats. */
  groupStockMs: 50,
  /** So long it waits whether its work says so. */
  groupStockSoonMs: 1,
  /** Of records sent under one deduplication id within this time one is handed out, as with SQS; and so many ids are remembered, some 300 B each. */
  queueDedupMs: 300 * second,
  queueDedupMax: 100_000,
  /** Records received from one queue that can be settled by their receipts, some 300 B each. More: the oldest only by whoever has it. */
  queueReceiptsMax: 20_000,
  /** How long a request waits for its answer, unless told otherwise; and requests of one topic that wait at once. More: `TooManyRequests`. */
  requestMs: 5 * second,
  requestsMax: 10_000,
  /** Records of one member whose time has not come, kept in memory, some 300 B each. More: what follows them in the log waits as well. */
  queueDelayedMax: 100_000,
  /** The most urgent priority; the least urgent is 0, as with JMS, and so is the default. */
  queuePriorityMax: 9,
  queuePriority: 4,
  /** One record in so many is the one that waits longest, whatever its priority (guess). */
  queueFairEvery: 10,
  /** Records of a group, in sets that have open ones, of which it is remembered how often they were handed out. More: the oldest count anew. */
  groupAttemptsMax: 20_000,
  /** Seeks of a group that were not heard of yet, of which it is known what was done after them. More: that of the earliest is forgotten, and done again. */
  groupErasAheadMax: 4,
  /**
   * Records in one notice of work. More goes into the next. What a notice costs hardly depends on what it tells: a consumer of 256 records at once
   * has 1,000 told together, and where a few such consumers had four notices of 1,000, the group did a seventh less in the same time.
   */
  groupWorkMax: 4_000,
  /** How long work is collected at most while earlier work is on its way. */
  groupCollectMs: 10,
  /** And where none is, but the last one told of so many records; otherwise it goes at once. */
  groupCollectSoonMs: 1,
  groupBusyRecords: 32,
  /** A consumer that was done with all it may have within that time has so many times as many told ahead, and at most `groupConcurrencyMax`. */
  groupAheadMs: 250,
  groupAheadSets: 3,
  /** Feeds in one notice that sums up. More goes into the next. */
  groupSumFeeds: 1_000,
  /** How long what is acknowledged or handed out waits for another peer to have that on disk, where one is linked. */
  groupConfirmMs: 1 * second,
  /** Notices kept of one group, in segments of that size (disk, and the time it takes to join). Beyond, the oldest segments go that a sum takes in. */
  groupNoticeBytes: 2 * MiB,
  groupNoticeSegmentBytes: 256 * KiB,
  /** How often that is looked at. */
  groupSweepMs: 2 * second,
  /** And so many that no sum takes in (disk). Beyond, the oldest segments go, and what only they said is done again. */
  groupNoticeBytesMax: 64 * MiB,
  /** After so many bytes of notices, and so many times as many as the last sum had, and after that time a member sums up what is known. */
  groupSumBytes: 256 * KiB,
  groupSumTimes: 4,
  groupSumMs: 5 * second,
  /** Acknowledgements remembered to notice what two members had, some 150 B each. More: the oldest are forgotten. */
  groupDeliveriesMax: 10_000,
  /** Requests, or answers, kept of one topic, in segments of that size. Beyond, the oldest segments go. */
  passingBytesMax: 16 * MiB,
  passingSegmentBytes: 2 * MiB,
  /** Groups told of at once: the control topic of each is read. More: ask for those of one topic. */
  groupsListedMax: 1_000,
  /** A dead letter that could not be published is tried again after this. */
  groupRetryMs: 1 * second,

  /** Events kept for a reader of `events()` that does not read. More: the oldest go. */
  eventsMax: 1_000,

  /** Bytes on their way through one WebSocket of the local API and not yet dealt with by the reader. More: its sender waits. */
  apiWindowBytes: 1 * MiB,
  /** What may wait to be sent over one WebSocket of the local API, the largest record and answers included. More: its other side does not read, and the connection is cut. */
  apiUnreadBytesMax: 32 * MiB,
  /** Records in one message of the local API end at about this size, so that acknowledgements never wait long behind them. */
  apiFrameBytes: 256 * KiB,
  /** WebSockets open at the local API. More: refused with status 503. */
  apiSocketsMax: 256,
  /** How long one request for records of a queue may wait for the first: clients ask again. */
  apiPollMs: 60 * second,
  /** Links that were not used yet, and browsers that came by one. More: the oldest are forgotten. */
  apiSessionsMax: 100,
  /** Records shown at once, and bytes of each value. */
  apiRecordsMax: 500,
  apiShownBytes: 16 * KiB,
  /** Records looked through for those with a key, before the caller is asked to go on. */
  apiLookedMax: 100_000,
  /** So long nothing may come of what is on disk until there is taken to be nothing. */
  apiIdleMs: 500,
  /** Values in one answer about a queue, before base64; a single larger one is told all the same. */
  apiAnswerBytes: 16 * MiB,
} as const
