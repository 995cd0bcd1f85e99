/** Every bound in Shoal, with its reason. Grouped by what they bound; add yours to its group. */
import { GiB, hour, KiB, MiB, minute, second } from './units.ts'

export const limits = {
  // Chunks
  /** Two frames. Half of it would bring control messages above half a percent of what a thousand nodes receive of 100 MB. */
  chunkSizeMinBytes: 128 * KiB,
  /** Above this one hop takes too long: 34 ms at 1 Gbit/s (research/kraken.md §8.2). */
  chunkSizeMaxBytes: 4 * MiB,
  /**
   * A chunk must be here before it goes on, so it takes a rollout as long as ten hops to begin and to end. Of 1 GB, with half as
   * many chunks the slowest of a hundred nodes ends at 1.08 × the bound, with this many at 1.05 (bench/sim/README.md).
   */
  chunksPerBlobAim: 1000,
  /** One bulk frame: the grain at which stalls are judged and transfers move. */
  frameSizeBytes: 64 * KiB,

  // Manifests
  /** OCI distribution spec, "Pushing Manifests": registries should accept 4 MiB; a larger one is refused. */
  manifestSizeMaxBytes: 4 * MiB,
  /** Longest list in a manifest or index; overlayfs stops at a few hundred layers, large indexes stay below a thousand. */
  manifestDescriptorsMax: 4096,
  /** Manifests nest about five deep; beyond this a document is made to cost its reader. */
  jsonDepthMax: 64,
  /** A repository's name, as docker distribution bounds it. */
  repositoryNameMaxLength: 255,

  // Mirror: requests
  /** Ranges in one request. Lazy snapshotters ask for dozens; the header's own bound allows about 1,500. */
  rangePartsMax: 512,
  /** A name, a digest and a query fit with room to spare. */
  mirrorUrlMaxLength: 4096,
  /** ECR's Basic tokens take 4 KiB, registry JWTs with many scopes 8 KiB, a multi-range 16 KiB. */
  mirrorHeadersMaxBytes: 32 * KiB,
  /** A request is one small packet over loopback; slower is a slowloris. */
  mirrorRequestMs: 10 * second,
  /** containerd gives up a connection to the mirror after this (`dial_timeout`): on loopback nothing takes longer. 1.x ignores it, and is refused at once where nobody listens. */
  mirrorDialMs: 200,
  /** Longer than containerd keeps an idle connection (30 s), so that it never sends into one that we just closed. */
  mirrorKeepAliveMs: 75 * second,
  /** Open connections: kubelet's parallel pulls times containerd's parallel ranges stay in the hundreds. */
  mirrorConnectionsMax: 1024,
  /** A client that takes no byte for this long is dropped; containerd's own limit for a pull without progress. */
  clientStallMs: 5 * minute,
  /** After our FIN, how long the client may take to close its side. */
  mirrorLingerMs: 5 * second,
  /** The same when the agent stops: on loopback a client that still reads has all of it in the kernel by then. */
  mirrorStopLingerMs: 1 * second,
  /**
   * How far from now a certificate of the mirror is valid, into the past as well, so that a node whose clock is set meets a
   * valid one. A new one is issued when half of that is over.
   */
  mirrorCertificateMs: 7 * 24 * hour,
  /** How often the agent looks whether it is: clocks are set at any time. */
  mirrorCertificateCheckMs: 10 * minute,

  // Mirror: what it remembers
  /** How long a blob that broke mid-body sends follow-up ranges to the origin; containerd asks again at once, Docker after 5 s. */
  brokenContentMs: 30 * second,
  brokenContentsMax: 10_000,
  /** How long the origin's answer for a tag serves all askers: one pull asks two to three times within a second. */
  tagTtlMs: 3 * second,
  tagsMax: 10_000,
  /** Descriptors of manifests kept in memory, at about 0.5 KiB each: those of a thousand images. */
  descriptorsMax: 20_000,
  /** Layers fetched ahead of the highest one requested (DESIGN, Life of a pull). */
  prefetchLayersAhead: 2,
  /** A prefetch nobody asked for within this time is dropped (DESIGN, Life of a pull). */
  prefetchUnrequestedMs: 30 * second,
  /** Prefetches at a time on one node: two for each of a handful of pulls. */
  prefetchesMax: 16,

  // Origins: connections and requests
  /** Connections to one host for blobs, as a node leads a handful of fetches at a time; and as many for all else, as its manifest requests. */
  originConnectionsMax: 16,
  /** Hosts with open connections; anybody on the node may name a host, and each costs sockets. */
  originHostsMax: 256,
  /** A TCP and TLS handshake across a continent takes 0.5 s; a lost SYN is re-sent after 1 s. */
  originConnectMs: 3 * second,
  /** Registries answer within 1 s when well; Docker Hub's slowest manifests take some seconds. */
  originHeadersMs: 10 * second,
  /** Backstop for a body that nobody watches; the swarm gives up a silent source after `stallMs`. */
  originBodyIdleMs: 30 * second,
  /** A small body (manifest, token, tag list) must be here by then, however slowly it drips. */
  originSmallBodyMs: 20 * second,
  /** A page of a tag list or of referrers: some ten thousand names. */
  originListMaxBytes: 4 * MiB,
  /** Response headers; a signed URL in Location takes up to 4 KiB. */
  originHeadersMaxBytes: 32 * KiB,
  /** Registry, storage, and room for a move of either; Go's HTTP client stops at 10. */
  originRedirectsMax: 5,
  /** An error's body is shown to people; OCI error bodies take a few hundred bytes. */
  originErrorBodyMaxBytes: 8 * KiB,
  /** Tries of one request, the first included, while the origin is unavailable. */
  originRequestTriesMax: 3,
  /** First back-off, doubled by each try and drawn at random below that. */
  originRequestBackoffMs: 100,
  /** No try of one request starts later than this after the first, Retry-After or not; beyond it the caller decides. */
  originRetryMs: 3 * second,
  /** A 429 that names no time: long enough to matter for a limit per minute, short enough to try again in one pull. */
  originRateLimitedMs: 5 * second,
  /** No Retry-After holds us longer: Docker Hub's window is six hours, but a wrong date must not stop a node for days. */
  originRetryAfterMaxMs: 1 * hour,
  /** A host that failed so often in a row is left alone: one request's tries and some more, so that a single broken content does not count as a dead host. */
  breakerFailures: 5,
  /** For so long at first, when a restart is over, then twice as long after each try in vain: a dead host costs one caller in half a minute its patience. */
  breakerRestMs: 1 * second,
  breakerRestMaxMs: 30 * second,

  // Origins: tokens
  /** A `WWW-Authenticate` value; GitLab's and Harbor's take 300 bytes. */
  challengeMaxLength: 4096,
  /** What `expires_in` means when it is absent (docker distribution, token specification). */
  tokenLifeMs: 60 * second,
  /** However long a token claims to live, and where Basic is asked for, access is asked about again by then. */
  tokenLifeMaxMs: 1 * hour,
  /** A caller's token that ends sooner is not shown any more: it would end on its way. */
  tokenMarginMs: 250,
  /** And its client may take it for good so much longer: `exp` has no fractions of a second, and clients count from the token's arrival. */
  tokenBelievedMs: 1.75 * second,
  /** Where it tells when it was issued, until it would have ended if it had been issued when it was first shown here: this much longer at most. */
  tokenBelievedMaxMs: 5 * second,
  /** Of several readers without one that lives one is sent for another, and has so long until the next is: a 401, a token service, and a HEAD at the origin. */
  tokenRenewalMs: 2 * second,
  /** A token answer; JWTs with many scopes take 8 KiB. */
  tokenAnswerMaxBytes: 64 * KiB,
  /** Tokens kept: repositories that one node pulls from within an hour, anonymously or by an account. */
  tokensMax: 1000,

  // Credentials of the agent's own
  /** A file with credentials or the providers' names; a Secret of Kubernetes holds no more. */
  credentialFileMaxBytes: 1 * MiB,
  /** A credential provider or helper is ended then, as by kubelet: it may ask a cloud, several times. */
  credentialProgramMs: 1 * minute,
  /** What such a program may answer: tokens take 2 to 8 KiB. */
  credentialOutputMaxBytes: 256 * KiB,
  /** Answers kept of each provider, and of all helpers: repositories that one node pulls from within hours. */
  credentialAnswersMax: 1000,
  /** An answer is good for so long even where its provider says 0: the layers of one image are hundreds of requests. */
  credentialAnswerMinMs: 10 * second,
  /** A provider that failed is not run again for the same image before; nor a helper, which says nothing of how long its word is good. */
  credentialFailureMs: 30 * second,
  /** Own credentials that are tried for one image, as each may cost a request that fails. */
  ownCredentialsMax: 4,
  /** How long after its last use a caller's credential is followed by own ones: longer than a layer of gigabytes takes. */
  credentialTakeoverMs: 1 * hour,
  /** Credentials of callers, for one repository each, that are known to be good or to have run out; each some 200 bytes. */
  callerCredentialsMax: 1000,

  // Access
  /** How long the origin's yes for a repository or a credential counts (DESIGN, Access). */
  accessOpenMs: 60 * second,
  /** How long an anonymous no counts: a pull asks for five things within a second, a repository made public waits this long. */
  accessClosedMs: 10 * second,
  /** Rules, tried one after the other by every request; no operator keeps the order of so many in mind. */
  rulesMax: 256,
  /** Repositories and credentials remembered, each some 300 bytes. */
  accessRecordsMax: 10_000,

  // Stalls
  /** A source that sends nothing for this long is given up or hedged; issue 2 asks for at most 2 s in all. */
  stallMs: 1 * second,
  /**
   * A source that sends now and then, but less than a frame (64 KiB) in this time, is hedged; and given up after the longer one, as is a
   * queue that stands still for so long.
   */
  crawlMs: 2 * second,
  crawlMaxMs: 10 * second,
  /** A queue that stands still for so long, while nothing else comes, is one that its owner keeps: a link of 6 Mbit/s takes 2 s for the ten requests that it holds. */
  queueStillMs: 4 * second,
  /** Times in a row that patience with silence doubles: to sixteen seconds, when no source but the origin's slowest would have said nothing. */
  droughtsMax: 4,
  /** How fast silence counts on a full link, whose senders wait for each other: eight that share it are as patiently waited for as one. */
  silenceShareMin: 1 / 8,
  /** What a link brings is measured over so long: several round trips across a continent, and a chunk at 4 Mbit/s. */
  linkSpanMs: 0.5 * second,
  /** And remembered for so long, up to twice: ten spans, so that a moment in which others let us wait does not count. */
  linkMemoryMs: 5 * second,
  /** The present rate is a mean of about so long: eight ticks, so that one without a frame is no idle link. */
  linkRateMs: 0.2 * second,

  // Swarm: neighbours
  /**
   * Ten to twenty neighbours keep a thousand nodes near the bound (research/kraken.md §8.3). Each costs both sides 9 ms of CPU
   * at a rollout's first moment and a `have` for each chunk: fewer begin to spread sooner, with less control traffic
   * (`npm run sim -- --bench --strategy "twenty neighbours"` has the other).
   */
  neighboursAim: 12,
  /** When nothing has come for this long, others are joined beside them, up to `neighboursMax`. */
  neighboursIdleMs: 1 * second,
  /** Joins taken per blob: neighbours are chosen by both sides, so about twice the aim meet. */
  neighboursMax: 80,
  /** Peers that the directory named and that are not neighbours yet, per blob. */
  candidatesMax: 160,
  /** Digests left that the directory has yet to be told of, some 150 bytes each: all that containerd's garbage collection takes at once, and more. */
  leftDigestsMax: 10_000,
  /** Handshakes under way at once: each costs both sides 6-9 ms (facts/transport.md), in which chunks could begin to flow. */
  dialsMax: 4,
  /**
   * A dial that takes longer goes on, but another may begin beside it: who is dead or parted from us answers nothing for
   * `peerDialMs`, and whoever knew four of those had no neighbour for as long. At most `peerHandshakesMax` are open so.
   */
  dialHangsMs: 1.5 * second,
  /** How long the one of two that choose each other waits for the other to dial: it has a few handshakes to make before this one. */
  dialLeftMs: 200,
  /** Wait after a failed dial, doubled each time up to the maximum. */
  dialBackoffMs: 1 * second,
  dialBackoffMaxMs: 1 * minute,
  /** A connection that neither side draws on is kept this long: a `join` may be on its way, and the next layer soon wants the same peers. */
  releaseAfterMs: 5 * second,
  /** Peers remembered while not connected (back-off, bans). */
  peersMax: 4096,
  /** A peer that sent rubbish this often, on own evidence, is banned. */
  strikesMax: 2,
  /** The same for all that come from one address, within `banMs`: after two banned peer IDs the address is banned. */
  hostStrikesMax: 4,
  /** Ordinary messages that a peer may send in a second: a chunk's request, `have` and `queued` at 10 Gbit/s are some 10,000. */
  messagesPerSecond: 20_000,
  /** What costs us more counts for so many: a request that is turned away (who rests as told makes 200 a second), and a doubt. */
  refusedRequestCost: 25,
  doubtCost: 25,
  /**
   * A hash that a doubt has us tell counts as a message too. Once those of a second are so many, further doubts get no answer: who
   * begins more than nine layers of a thousand chunks at once is no flood for it, and nobody has us say more than 320 KB a second.
   */
  doubtsAnsweredUpTo: 10_000,
  banMs: 10 * minute,
  /** Entries kept of a chunk beside the one it was accepted on: enough to count to three, and to catch a signer. */
  otherEntriesMax: 4,
  /** Signers and addresses suspected of a blob that was wrong, and disbelieved since this node has found other bytes: those of some blobs. */
  suspectsMax: 1024,
  disbelievedMax: 1024,
  /**
   * Of so many a node cautions others; and so many that come from one address within `banMs` it takes to heart: a liar has no more of
   * its choice handled as at two witnesses. Of so many addresses, 1 KiB each.
   */
  cautionsPerAddress: 4,
  cautionersMax: 4096,
  /** Who brings what waits for another's word counts as having so many requests ahead when somebody is chosen: it is asked when no other is free. */
  doubtfulLoad: 64,
  /** A reader that has waited this long for witnesses takes its next chunk from the origin (DESIGN, Integrity). */
  heldBackMs: 60 * second,
  /** And where that failed, this long after it had: an origin that is down for a moment costs no second minute, and one that stays so is not pressed. */
  heldBackAgainMs: 10 * second,
  /** The same for a part of a blob that is here as far as it is wanted: only whole blobs are proved. Longer than who is asked takes to answer. */
  heldBackPartMs: 1 * second,
  /** Hashes that one peer vouches for at once: 32 KiB, half of the largest control message; all chunks of most blobs. */
  vouchChunks: 1024,
  /** Of those who come with a whole blob so many are asked for its hashes, where one word is enough: two disagree if one of them lies. */
  provedAsked: 2,
  /** Peers without an answer for this long have others asked as well. */
  doubtAgainMs: 0.5 * second,

  // Swarm: requests
  /** Requests to one peer at a time: one that is being sent and one behind it, so that no round trip is idle. */
  requestsPerPeer: 2,
  /** Chunks after the lowest reader's position in which the rarest comes first (DESIGN, Swarm). */
  windowChunks: 32,
  /** How far ahead of a ranged reader chunks are fetched: a lazy puller reads on, but must not pull the layer. */
  rangedAheadBytes: 4 * MiB,
  /** Chunks at a late reader's very position that go before the rarest. */
  urgentChunks: 2,
  /** A whole reader whose next chunk is missing for this long is late. */
  urgentAfterMs: 500,
  /** Asked of peers and not yet here: so many chunks keep all uplinks busy, or what comes in `inFlightMs` where that is more. */
  inFlightChunks: 10,
  inFlightMs: 100,
  /**
   * What waits in peers' queues counts for so much of that where chunks are as large as `uploadLargeBytes`, which are sent four at a time and take
   * the longer. Who has many neighbours, a seed among them, hears first of what is new, where queues are long, and its link ran dry behind ten
   * requests. Of smaller chunks it would help little, and control messages beside weak uplinks would be half a percent (bench/sim).
   */
  inFlightQueuedLargeShare: 1 / 2,
  /**
   * But under way on a slow link no more than comes in this time, since a hung peer must show within a second; yet as many
   * chunks as two uplinks send at a time. With two, nodes that hold leases from a slow origin asked nobody else: 1.7 × the bound.
   */
  inFlightSlowMs: 800,
  inFlightSlowChunks: 4,
  /** The same with what waits in peers' queues and may begin at any moment. */
  inFlightAskedMs: 2 * second,
  inFlightMaxBytes: 64 * MiB,
  /** A transfer without a frame for this long (or four usual gaps) is asked of a second peer too. */
  hedgeAfterMs: 200,
  /**
   * When nothing else can be asked for, what would take longer than our own link takes for so many chunks is asked of a second
   * peer, if that one should bring it so many times sooner: an uplink of a tenth. Simulated: at 3 times, nodes whose links differ
   * by up to 3 end a tenth later, since what they hand on comes twice.
   */
  overtakeChunks: 8,
  overtakeFactor: 6,
  /** After a stall a peer gets no request for this long, doubled each time. */
  stallRestMs: 2 * second,
  /** So many stalls in a row, and the peer is let go. */
  stallsMax: 3,
  /** After `busy`, this long until the next request, or an eighth of what a chunk takes, when some place should be free; doubled each time up to the maximum. */
  busyBackoffMinMs: 10,
  busyBackoffMaxMs: 250,
  /** So many in a row, which take two seconds, while nothing comes for `starvedMs`, and the peer withholds what it has. In a crowd behind slow uplinks honest ones are so busy. */
  busiesMax: 12,
  /** Gained chunks are told at once when none was told for this long, else together. */
  haveBatchMs: 8,
  haveBatchChunks: 16,
  /**
   * But on a narrow link, of at most 40 Mbit/s, those that this share of the neighbours has are told together within the time that
   * so many take to come. With one request a peer that saves 40 % of the control packets of 16 nodes on 25 Mbit/s (bench/sim).
   */
  narrowLinkBytesMs: 5000,
  haveRareShare: 0.3,
  haveBatchHops: 2,
  /** How often the swarm is told the time: the grain of hedges, stalls and batches. */
  tickMs: 25,
  /** And while it has nothing to do, when a tick is no more than a look at what is over: at 25 ms that took a quarter of what an agent at rest did. */
  restTickMs: 250,

  // Swarm: uploads
  /** Serving nearly one after the other spreads fastest; the second fills the gaps of the first (research/kraken.md §8.3). */
  uploadsActiveMax: 2,
  /**
   * But so many of chunks from this size on: they outlast a TCP window, and then wait for their receivers, whose links others
   * fill too (`npm run sim -- --bench --frames 16` has two beside it).
   */
  uploadsActiveLargeMax: 4,
  uploadLargeBytes: 1 * MiB,
  /** Chunks read for uploads at a time: those under way, and as many that were cancelled meanwhile, whose reads nothing can stop. */
  uploadReadsMax: 8,
  /**
   * And so many of one blob: a bad sector may hold a read up for minutes, in which peers ask again and again. Two leave places to other
   * blobs, and to all other work of the four threads that Node.js reads files and looks names up with.
   */
  uploadReadsPerBlobMax: 2,
  /** Requests that wait; beyond, whoever would be served last is told `busy`. With half as many, uplinks run dry. */
  uploadsWaitingMax: 8,
  /** Requests of one peer, active and waiting. Those that one host has beyond so many, whatever peers it comes as, come after all others'. */
  uploadsPerPeer: 2,
  /**
   * A host that has had places for so long, all its uploads together, and taken no chunk whole, is left to others; with large chunks
   * for longer, as at half a Mbit/s. A peer that hangs loses its connection sooner.
   */
  idleTakerMs: 5 * second,
  /** For so long; then for twice as long, up to `banMs`. It may be honest, behind a link that drops large packets. */
  idleTakerRestMs: 30 * second,
  /**
   * An upload that takes so many times as long as they usually do, and so long at least, has a place beside those that there are for others;
   * so many at a time, of 4 MiB at most each. Two liars that take nothing would else hold up all whom a seed serves.
   */
  uploadHeldUpTimes: 4,
  uploadHeldUpMs: 1 * second,
  uploadsHeldUpMax: 4,
  /** Rare chunks leave first; each such time of waiting counts as much as one copy less, so that none waits for ever. */
  uploadAgeMs: 100,
  /**
   * What nobody else has leaves as if it had waited this long. Behind a weak uplink all wait for seconds: it must not send what
   * others have too while they wait for what only it has.
   */
  uploadSoleMs: 10 * second,
  /** Whoever has least is served first, so that all end together: so many chunks less count as much as one copy less. */
  uploadLeadChunks: 8,
  /** How long a suggested chunk is kept for whom it was suggested to: a round trip between busy nodes. */
  offerMs: 200,
  /** What a seed would rather not send is not asked of it for this long, and as long as it takes to make so many hops. */
  deflectedMs: 500,
  deflectedHops: 4,
  /** Peers named in a `busy`. */
  busyHintsMax: 4,
  /** Ticks that are late by so much, over the last few, show that this node has more to do than it can: it hedges by then. */
  lateTickMs: 200,
  /** While it has, and somebody reads here: one being served, and one that waits so that the uplink is never idle. */
  uploadsShedTo: 1,
  /** A waiting request is told its place this often, so that a hung uploader is not mistaken for a full one. */
  queuedAgainMs: 400,

  // Swarm: hand-over
  /**
   * What others are asked to take of who leaves, at a time: some layers, so that those that have begun are whole before it is gone.
   * One that is larger goes alone.
   */
  handOverAtOnceBytes: 64 * MiB,
  /** Who takes a blob has told its directory by then: several announces to a busy one. */
  handOverBeginMs: 2 * second,
  /** What one node takes at a time, over all who leave: it is written to disk, for nobody who waits. */
  handOverTakenMaxBytes: 1 * GiB,
  /** What has not come by then, comes no more: longer than most who leave may take. */
  handOverTakeMs: 1 * minute,
  /** Members that are asked to take a blob, one after the other: those that are busy or full are not all. */
  handOverAskedMax: 3,
  /** Facts of possession in one message, some 200 bytes each. */
  handOverFactsPerMessage: 1000,

  // Swarm: rate limits
  /** What may move at once after a pause, as time at the limit: the grain of ticks four times over. */
  rateBurstMs: 100,
  /** The lowest limit, per second: below it peers would take the wait between frames for a stall. */
  rateMinBytes: 256 * KiB,
  /** A limited body from the origin is let in by so much at a time, so that several share it evenly and none seems to stall. */
  ratePieceBytes: 16 * KiB,

  // Swarm: origin
  /** A lease asks for as much as comes in this time; at most so many chunks; so many bytes while no rate is known. */
  leaseMs: 1 * second,
  leaseChunksMax: 16,
  leaseFirstBytes: 2 * MiB,
  /** One being fetched, one granted ahead so that the origin's next answer follows without a gap. */
  leasesPerBlob: 2,
  /** The next lease is asked for when the present one has less than this left. */
  leaseAheadMs: 500,
  /** But not while what only this node has, and others ask for, will take longer than this to leave it: its uplink is weak. */
  leaseLeavesMs: 0.5 * second,
  /** A lease given back is named in announces for this long: four of them. */
  releasedToldMs: 2 * second,
  /** Leased bytes that are not here yet, all blobs together. */
  originInFlightMaxBytes: 128 * MiB,
  /** No answer about a lease: speak up again after this long. */
  leaseAgainMs: 500,
  /** First byte of the origin, doubled with each try: registries redirect and may wake a cold store. */
  originFirstByteMs: 2 * second,
  /** Tries under one lease before it is given back, and the wait before each, doubled. */
  originTriesMax: 3,
  originBackoffMs: 200,
  /** A credential that the origin refused is not tried again for this long. */
  originRefusedMs: 30 * second,
  /** Given-back leases in a row before the origin counts as gone. */
  originFailuresMax: 2,
  /**
   * Of several origins that a blob is read from one is asked at a time: the next one's turn comes when its readers have waited
   * for this long. Several times what a healthy origin takes to its first byte.
   */
  originTurnMs: 5 * second,
  /**
   * Turns in which no chunk came whole are doubled, up to this: a chunk of 4 MiB at 1 Mbit/s. Nobody is held up for longer by an origin
   * that sends next to nothing, and containerd waits five minutes for a byte unless told otherwise (facts/protocols.md).
   */
  originTurnMaxMs: 40 * second,
  /** How long peers may take to show a missing chunk once the origin is gone, before the readers end. */
  hopelessAfterMs: 2 * second,
  /**
   * Without a byte for this long, although others are said to have what is missing, a reader insists on a lease; sooner
   * where no peer could be reached for so long, or only such as have it on a word that is not taken; then again after half the wait,
   * as long as peers give nothing. What another has fetched less than `starvedAloneMs` ago is granted to nobody who insists: it was not
   * asked for it in vain.
   */
  starvedMs: 10 * second,
  starvedAloneMs: 2 * second,
  starvedAgainMs: 250,
  /**
   * But this long while peers that have not stalled say that it will come, and their queues move: a slow swarm begins slowly. Where the
   * origin is gone as well, readers that had nothing for so long end.
   */
  starvedPromisedMs: 60 * second,

  // Directory: hosting
  /** Owner and standby: who knows of a digest, and is asked. A third would cost half as many announces again, and two seldom die at once. */
  hostsPerDigest: 2,
  /** Owner, standby and those who would follow: enough to pass over three silent ones. */
  hostsRankedMax: 5,
  /** Digests whose ranking is remembered: an agent's images some times over; a lookup among 20,000 members costs 0.2 ms. */
  rankedDigestsMax: 20_000,
  /** A successor without a table listens this long before it grants: four announce intervals of those who fetch. */
  directoryLearnMs: 2 * second,
  /** And a standby so long: what its predecessor granted last it hears of within `announceMs`, and a trip. */
  standbyLearnMs: 0.75 * second,
  /** Peers that an announcer names to its directories as ones who count for nothing. Ones who were banned before have mostly left for long. */
  bansToldMax: 16,
  /** Without a new chunk or byte for this long a lease is lost: four announce intervals; issue 2 asks for at most 2 s. */
  leaseTtlMs: 1.75 * second,
  /**
   * Where announces come more than another interval late it is longer, by so many times their mean lateness, of which the newest is an eighth:
   * up to 8.75 s, less than a reader starves for (`starvedMs`). Eight agents that have just started, with a tenth of a core each, take 1.1
   * images in place of 1.3.
   */
  latenessLeeway: 4,
  latenessWeight: 1 / 8,
  /** The same before the first byte: a token, a redirect and a cold store take seconds, twice `originFirstByteMs` is a fault. */
  leaseFirstByteMs: 4 * second,
  /** Chunks that one agent may hold leased per digest: `leasesPerBlob` leases of `leaseChunksMax`. */
  leasedChunksMax: 32,
  /**
   * Agents that fetch one digest from the origin at a time: one in so many that have or want it, within these. More would all
   * finish late, together (simulated with 50 nodes and three layers at a time, 4 end at 1.20 × the bound, 16 at 1.47); and in
   * a large swarm, where every downlink is full, fewer do not take all that the origin gives.
   */
  leaseHoldersMin: 4,
  leaseHoldersMax: 8,
  announcersPerLeaseHolder: 16,
  /** A lease takes no less of what is free than one of so many shares. Simulated: a thousand nodes with ten layers, cold, end at 1.144 × the bound, with 8 at 1.155. */
  leaseSharesMax: 4,
  /** Peers named to a leech: `neighboursAim` and a few to spare. Of many more it would take those nearby less often. */
  neighboursNamed: 15,
  /**
   * At most this share of them is chosen for being near. The others keep the swarm in one piece, and spread what is new
   * everywhere: locality should be a bias and leave 20-30 % of the edges to chance (research/kraken.md §8.5).
   */
  nearShare: 3 / 4,
  /** Holders named first to a leech that has next to nothing, or lacks what many neighbours have in vain. */
  usefulHolders: 4,
  /** Who fetches from the origin announces this often: its leases end without progress. */
  announceMs: 0.5 * second,
  /**
   * Who only wants, where the host is not loaded: later the longer it has wanted, as what takes a minute changes little in a
   * second. At most so late, since what a dead member had counts until all others have announced.
   */
  announceWantMs: 1 * second,
  announceWantShare: 1 / 3,
  announceWantMaxMs: 3 * second,
  /** The same to the standby, which names peers meanwhile. */
  announceStandbyMs: 4 * second,
  /**
   * But of what is being fetched it hears so often: of a lease as soon as an owner hears of progress, and then before that lapses
   * (`leaseTtlMs`), since it soon grants when it succeeds.
   */
  announceFetchStandbyMs: 1.5 * second,
  /** What one announce costs its host (facts/transport.md), and the share of a core that all of them may take. */
  announceCostMs: 0.3,
  announceShareOfCore: 0.1,
  /**
   * What those who wait get of a busy core at least: a thousand first announces are through within 1.2 s, before any of them
   * gives up (`announceTimeoutMs` after the last sign of life), and the host's own pull has most of the core meanwhile.
   */
  directoryShareOfCore: 0.25,
  /** Who merely holds a blob says so once a minute; its death is told by the members, its eviction by itself. */
  announceIdleMs: 1 * minute,
  /** An announcer unheard for this long, and for so many of its intervals, has gone (DESIGN, Members: dead within 5 s). */
  announcerSilentMs: 5 * second,
  announcerSilentIntervals: 3,
  /** Hosts that are to hear what is left though their call failed, `leftDigestsMax` in all: more than are hung at once in any cluster that works. */
  owedHostsMax: 160,
  /** Digests in one host's directory: its share of all digests times two; a table takes 4 bytes a chunk, 4 KiB of a large layer. */
  directoryDigestsMax: 20_000,
  /** Announcers over all digests of one host: about 0.5 KiB each, so 25 MiB. */
  directoryAnnouncersMax: 50_000,
  /**
   * What the tables of one host take beside their announcers; a claim of a chunk (measured); and the name of who says another size. The
   * 20,000 digests of a large cluster, mostly of a few chunks, take less than half of it, a thousand nodes that pull a blob of
   * `blobSizeMaxBytes` 15 MiB. Announces of 128 such blobs would take 1.3 GiB.
   */
  directoryBytesMax: 32 * MiB,
  claimBytes: 160,
  dissenterBytes: 120,
  /** The largest blob that is shared: 65,536 chunks; counts of one answer stay within 64 KiB. */
  blobSizeMaxBytes: 256 * GiB,
  /** Seeds per digest that write DHT records (DESIGN, Members). */
  providersMax: 3,
  /** A DHT record costs hundreds of milliseconds of CPU (facts/transport.md), so a host asks for one a second at most. */
  provideEveryMs: 1 * second,
  /** Half of `dhtRecordMs`, so that a record never lapses while its seed lives. */
  provideAgainMs: 30 * minute,
  /** Origins whose rate limits, or failures to answer, are remembered; and for how long a limit is at most: a lasting one is told again. */
  limitedOriginsMax: 1000,
  limitedOriginMaxMs: 5 * minute,
  /** An agent that an origin did not answer says so for this long after. As many must say it, and one agent then fetches each digest from there at a time. */
  sickOriginMs: 10 * second,
  sickOriginWitnesses: 2,

  // Small content
  /** Up to this a blob is asked for whole, of one peer, without a swarm: four of the smallest chunks, 0.2 s at 25 Mbit/s. */
  smallContentMaxBytes: 512 * KiB,
  /** How many each asker is sent on to: one after the other spreads fastest, as with `uploadsActiveMax`. */
  relayFanOut: 2,
  /** Seeds at the head of a line: that many times the fan-out are served at once. */
  relaySeedsMax: 8,
  /** A line is over when nobody has asked for this long; by then those who have the content have announced it. */
  relayLineMs: 10 * second,
  /** Places in all lines of a host, some 150 bytes each: ten contents that 5,000 agents want at once. */
  relayPlacesMax: 50_000,
  /** A host that does not know its fellow members yet, or a relay that has nothing yet, is asked again after this long. */
  relayAgainMs: 100,
  /** A relay that is getting the content itself lets its asker wait this long before it says so: well below `relayCallMs`. */
  relayHoldMs: 400,
  /** A host, or the first relay, that has not answered by then is passed over as one that hangs. */
  relayCallMs: 1 * second,
  /** Peers asked in vain before the origin's turn. */
  relaysTriedMax: 4,
  /** After this long an asker turns to the origin, whatever relays promise; longer than `smallFetchMs`, so that one failed fetch is passed over. */
  relayPatienceMs: 5 * second,
  /** A relay that promised all that time in vain, or gave something else, is not asked again for so long: one that lies costs one wait, not one a content. */
  relayRestMs: 1 * minute,
  relaysRestingMax: 1000,
  /** A small content from the origin is here by then, or the swarm takes over: as `leaseFirstByteMs`. */
  smallFetchMs: 4 * second,
  /** Small contents being given to peers at a time; beyond, peers ask others. 8 MiB, or 64 MiB of the largest manifests. */
  smallServesMax: 16,

  // Possession
  /** How long a repository's yes for a content counts: it may lose it. One HEAD per content in this time, by whichever agent. */
  possessionFreshMs: 5 * minute,
  /** How long an origin counts as having what it had; and a repository while its origin is down, as far as grants reach then (`originFailoverMs`): a long outage. */
  possessionKeptMs: 7 * 24 * hour,
  /** Facts that a host keeps for all, and an agent for itself, some 300 bytes each: ten contents of each of 5,000 images, in 15 MiB. */
  possessionFactsMax: 50_000,
  /** Who is finding something out has this long, then the next one does: a token, a redirect and an answer. */
  possessionClaimMs: 2 * second,
  possessionClaimsMax: 10_000,
  /** Meanwhile the others ask again after this long, and go on without an answer after the longer one. */
  possessionAgainMs: 100,
  possessionPatienceMs: 5 * second,
  /** A reader that waits for a blob to be proved looks this often whether others have found its origin out. */
  possessionWaitMs: 0.5 * second,
  /** How many random parts an origin must give, and how long each: who lacks a tenth of the content passes 43 % of the time, who has half of it 0.4 % (DESIGN, Access). */
  possessionSamples: 8,
  /** Twice as many after each origin that gave a node something else for the same content, up to these: who has half of it passes once in 255 times there, however many names of origins it makes up. */
  possessionSamplesMax: 64,
  possessionSampleBytes: 4 * KiB,
  /** An origin that gave something else is not asked for this content again for so long. */
  possessionRefusedMs: 10 * minute,
  possessionRefusalsMax: 10_000,

  // Directory: asking
  /** A host that has neither answered nor given another sign of life for this long, and for `announceCostMs` a member, is passed over. */
  announceTimeoutMs: 1 * second,
  /** One that lives on but does not answer is passed over after this long; as `memberCallMs`. */
  announceTimeoutMaxMs: 5 * second,
  /** A host that takes longer has a hundred agents before it (0.3 ms each), and the nearest members are tried meanwhile. */
  announceSlowMs: 40,
  /** How long a host that did not answer is passed over; by then the members know whether it died. */
  hostSilentMs: 3 * second,
  /** Between two calls to one host: urgent announces of several digests gather meanwhile. */
  announceGapMs: 20,
  /** What is due this soon goes along with a call that leaves now. */
  announceBatchMs: 100,
  /** Digests in one call: a full bitfield each stays within 25 KiB, the answers within 1 MiB. */
  announceItemsMax: 128,
  /**
   * And their chunks: one blob of `blobSizeMaxBytes`, or as many usual ones as the above. Whoever said in a few KiB that it fetches all of 128
   * blobs of that size held its host's event loop for 11 s.
   */
  announceChunksMax: 65_536,
  /** No host can send an agent away for longer, and no back-off grows further. */
  announceWaitMaxMs: 2 * minute,
  /** Digests that are merely held find a new host within this time, spread at random: half of what it listens before it grants (`directoryLearnMs`), the other half being the news of it. */
  retargetIdleMs: 1 * second,
  /**
   * A waiting reader whose owner is silent to it, while who would follow answers: within half of this the follower has looked
   * at the owner (1 s), listened (`directoryLearnMs`) and been asked again, unless it finds the owner well.
   */
  successionMs: 7 * second,
  /**
   * A waiting reader whose hosts answer but grant nothing, while nothing moves: as long as a chunk takes at half a Mbit/s, since
   * behind a slow origin all wait for one holder's bytes; and longer than those take who were cut off for a while (`starvedMs`)
   * to find each other again. Simulated: at 10 s a short partition costs several copies from the origin, at 15 s none.
   */
  leaseStarvedMs: 20 * second,
  leaseStarvedBytesPerMs: 64,
  /** Before agents turn to the origin unleased they wait at random up to 5 ms per member, 5 s at most (DESIGN, Directory). */
  silenceSpreadMaxMs: 5 * second,
  silenceSpreadPerMemberMs: 5,

  // Peers: messages
  /** Blobs that a link calls by a byte, in each direction: as many as one byte of a varint can tell apart. Each takes some 100 bytes. */
  handlesMax: 127,
  /** One control message: a bitfield of 8 KiB (65,536 chunks) or 10,000 indices fit with room to spare. */
  controlFrameMaxBytes: 64 * KiB,
  /** A blob of `blobSizeMaxBytes` in its largest chunks. */
  chunksPerBlobMax: 65_536,
  /** A registry's host name (253) and port in an entry. */
  originMaxLength: 260,
  /** Type, id, offset and entry with the longest origin: 409 bytes. */
  chunkHeadMaxBytes: 512,
  /** Type and id before a frame's bytes. */
  frameHeadMaxBytes: 9,
  /** Control messages that wait for one peer; one that takes none for so long is not keeping up and is let go. */
  controlQueueMaxBytes: 1 * MiB,
  /**
   * The same on its lane for chunks: a frame for each of its two requests, and the heads, of some 200 bytes, of hundreds that it has
   * cancelled since it took one.
   */
  laneQueueMaxBytes: 256 * KiB,
  /** A control stream that just opened says hello within this time, and a link's lanes open within as much. */
  helloMs: 5 * second,
  /**
   * Handshakes of lanes under way from one address, of which the first gives way: those of 32 links that open at once, as among agents
   * that share an address. A handshake takes milliseconds, and who says nothing would keep its connection for `helloMs`.
   */
  laneHandshakesPerHostMax: 64,
  /** When the agent stops, uploads under way have this long to end: a chunk of 4 MiB at 16 Mbit/s. Peers ask others for the rest. */
  uploadsEndMs: 2 * second,
  /** What was said before a goodbye has left by then, or the peer does not take it. */
  linkGoodbyeMs: 1 * second,
  /** Links in use beat this often, and end at the third look without a word: in 3 to 4.5 s (DESIGN: 5 s). */
  linkLookMs: 1.5 * second,
  linkSilentLooks: 3,
  /** A link that carried nothing for half a minute rests: it beats, and is expected to, every 12 s. */
  linkRestAfterLooks: 20,
  linkRestEveryLooks: 8,

  // Peers: connections
  /**
   * Neighbours by both sides' choice (80), DHT walks and joins under way: as many connections of libp2p's, each of which takes about
   * 0.3 MiB (facts/transport.md), and as many links of others' making, with two lanes each.
   */
  peerConnectionsMax: 160,
  /** Inbound handshakes under way: each costs 6-9 ms of CPU, and with more a control message waits longer than a chunk takes. Who is refused dials another. */
  peerHandshakesMax: 16,
  /** Those of one address: who connects and says nothing for `peerDialMs` leaves others a few, which make hundreds a second. */
  peerHandshakesPerHostMax: 12,
  /** New connections per second from one address. libp2p's own 5 throttles agents behind one address, such as loopback. */
  peerConnectionsPerHostMax: 64,
  /** Handshake and first stream: hundreds of milliseconds while a rollout starts; a lost SYN is re-sent after 1 s and 3 s. */
  peerDialMs: 5 * second,
  /** One address of several, so that a dead one leaves time for the next. */
  peerAddressDialMs: 3 * second,
  /** Addresses tried per peer: nodes have one or two. */
  peerAddressesMax: 8,
  /** Without a byte for this long a connection of libp2p's is closed: a link needs it no more once its lanes are open. */
  peerConnectionIdleMs: 60 * second,
  /** yamux's smallest window, 84 ms at 25 Mbit/s, and how far it grows on links that are fast or long. */
  streamWindowBytes: 256 * KiB,
  streamWindowMaxBytes: 1 * MiB,
  /** Streams of one connection and direction: control, identify, ping and a few of the DHT. */
  streamsPerConnectionMax: 32,
  /** Public keys of signers kept ready, some 0.5 KiB each: members that vouch for what this node pulls. */
  signerKeysMax: 4096,
  /** What libp2p remembers of peers: of members that are met within a day or so, less than 1 KiB each. */
  peerRecordsMax: 4096,
  /** The longest record of a peer or of the DHT: a peer's has a handful of addresses, a signed envelope and a dozen protocols. */
  recordMaxBytes: 4 * KiB,

  // Peers: DHT
  /** Twenty nodes keep each record, and a node writes 360 of them in `dhtRecordMs`: 7,200 from as many nodes as keep ours, some 200 bytes each. */
  dhtRecordsMax: 8192,
  /** Bans at a time; the oldest ends first. */
  bansMax: 4096,
  /** How long a provider record counts: a seed that died is not found for longer. */
  dhtRecordMs: 1 * hour,
  /** Old records are swept this often. */
  dhtSweepMs: 10 * minute,
  /** A record is written this long after it was asked for, when the rollout that made the seed is over. */
  provideAfterMs: 1 * minute,
  /** A write costs hundreds of milliseconds of CPU over all nodes it touches (facts/transport.md): 4 % of a core at this pace. */
  dhtProvideEveryMs: 10 * second,
  /** When a record reached nobody, because no peer of the DHT is known yet. */
  dhtAgainMs: 1 * second,
  /** Digests that wait to be provided; the directory names them again, so more are dropped. */
  dhtProvidesWaitingMax: 64,
  /** A look-up that found nothing by then is given up: it is the slow fallback, and origins answer within this time. */
  dhtFindMs: 10 * second,
  /** Peers asked in parallel by one DHT query. */
  dhtParallel: 3,

  // Metrics
  /**
   * How often it is looked how late the event loop is; what `nodejs_eventloop_lag_*` say includes it. At prom-client's own ten milliseconds
   * that alone took 0.2 CPU seconds a minute, a quarter of what an agent at rest did (bench/idle).
   */
  eventLoopLookMs: 50,

  // Logs
  /** What lies deeper in a logged value is left out: errors carry what registries say, which may be nested without end. */
  logDepthMax: 20,

  // Doctor
  /** One question of doctor's: longer than a lost SYN takes that is sent again after 1 s and 3 s. */
  doctorQuestionMs: 5 * second,
  /** The agent looks after itself this often: a fault is seen before the next rollout, and a look costs some 50 ms of CPU. */
  doctorEveryMs: 5 * minute,
  /** And once more this soon after its start: what is so only while agents start together is over by then. */
  doctorAgainMs: 1 * minute,
  /** A file that was written just before containerd started may seem to be younger: its start is told to 10 ms, twice rounded. */
  doctorStartMs: 1 * second,
  /** Clocks that differ by more make tokens of registries look expired: they live for minutes. */
  doctorClockSkewMs: 1 * minute,
  /** A pull's last blob is written to disk this soon after its last byte: gigabytes on a slow disk. */
  doctorCommitMs: 10 * minute,
  /** Files that containerd's configuration imports: drop-ins of a distribution number a few. */
  doctorImportsMax: 64,
  /** Registries that are asked, of those that are listed. */
  doctorOriginsMax: 16,
  /** What is asked of a layer to see whether its registry sends parts. */
  doctorRangeBytes: 4 * KiB,
  /** What is read of a client's name, of which the first word counts. */
  userAgentMaxLength: 256,
  /** What the agent says of itself takes some KiB. */
  doctorAnswerMaxBytes: 1 * MiB,
  /** A file of this size with one byte at its end takes next to nothing where files may be sparse. */
  doctorSparseBytes: 4 * MiB,
  /**
   * An Event of a fault that lasts is written again this often. Kubernetes keeps Events for an hour (`--event-ttl`), and client-go's
   * recorder refreshes its own at this pace: ten thousand agents with a fault each write 6 a second.
   */
  eventAgainMs: 30 * minute,
  /** Events that one agent may write at once, and how soon one more: what client-go's recorder grants to one source and object. */
  eventsMax: 25,
  eventEveryMs: 5 * minute,
  /** Of an Event's note, in UTF-8 (Kubernetes, NoteLengthLimit). */
  eventNoteBytesMax: 1 * KiB,
  /** Files and connections of one agent: those to the mirror (1,024), of other agents (4,096 and three times 160), to registries, and blobs. */
  descriptorsMin: 8192,

  // Store
  /** Synced this often, so that a power loss takes at most 5 s (DESIGN, Store) even when a sync takes three of them. */
  storeSyncMs: 2 * second,
  /** The filesystem is asked this often how full it is; kubelet looks every 10 s. */
  storeSpaceLookMs: 2 * second,
  /** And again after this many bytes of our own writes. */
  storeSpaceLookBytes: 64 * MiB,
  /** A full store takes some blobs and refuses others; it is said to be so until it has refused none for this long. */
  storeFullMs: 1 * minute,
  /** The share of inodes kept free; kubelet evicts pods below 5 %. */
  storeInodesFreeMin: 0.1,
  /** After an I/O error nothing is written for this long: each try may hang for seconds in the kernel. */
  storeBrokenDiskMs: 30 * second,
  /** Blobs kept open (two descriptors and a log of about 100 KiB each) after their last reader, for the next one. */
  storeIdleBlobsMax: 32,
  /** Logs read at a time while the store opens: libuv has four threads. */
  storeScanParallel: 16,
  /** Read and hashed at a time: 0.3 ms of a core, so an event loop that hashes still answers. */
  storeHashPieceBytes: 512 * KiB,
  /** The background hasher's thread ends after this long without work: layers of one pull come closer together. */
  storeHasherIdleMs: 5 * second,
  /** containerd's directory is listed this often, for what a full inotify queue lost or a watch of a replaced directory does not tell. */
  storeContainerdLookMs: 1 * minute,
  /** While it can not be read it is tried this often: containerd makes it when it first pulls something. */
  storeContainerdRetryMs: 2 * second,
  /**
   * A copy of containerd's that could not be read is hashed again after this long, and then after twice as long each time, so often:
   * network disks are back within five minutes mostly, and a bad sector does not heal.
   */
  storeContainerdAgainMs: 10 * second,
  storeContainerdAgainMax: 5,
  /** Files of containerd's that are known and announced: a node has hundreds to thousands, and each takes 14 KiB here (3,000 small ones: 43 MiB). */
  storeContainerdBlobsMax: 5000,
  /** What came within this time is in the page cache still, mostly, and is hashed at once. */
  storeContainerdFreshMs: 10 * minute,
  /**
   * What has lain there for longer is hashed at this pace, newest first: a quarter of what small cloud disks read (125
   * MB/s), which pulls need themselves. 100 GB take an hour, once; what our own store has proven, or somebody reads, does not wait.
   */
  storeContainerdHashBytesPerMs: (32 * MiB) / (1 * second),
  /** And with this rest between two, so that thousands of small ones are not announced at once: a hundred a second. */
  storeContainerdHashRestMs: 10,

  // Running the swarm (agent/swarm)
  /** Callers whose credentials may fetch one blob: of its own origin, and of a few whose images share the layer. */
  wantsPerBlob: 16,
  /** A blob that nobody uses stays open this long, since the next read or upload of it is likely soon. */
  sessionIdleMs: 10 * second,
  /** Chunks waiting for the disk; the origin's body is paused beyond it. */
  writeBacklogMaxBytes: 32 * MiB,
  /** Chunks kept in memory after they were written: two of the largest, or 64 of the smallest. */
  recentChunksMaxBytes: 8 * MiB,
  /** Chunk-sized memory kept for the next chunks instead of being freed. */
  pooledMaxBytes: 16 * MiB,
  /** What one read hands to a client at once: large enough for the disk's full rate, small enough for memory. */
  readPieceSizeBytes: 1 * MiB,

  // Members
  /** The most members a list may have (DESIGN, Members); the departed among them make room for who comes. */
  membersMax: 20_000,
  /** Buckets of a member list: 78 members each in the largest, and 3 KiB to compare two lists. */
  memberBuckets: 256,
  /**
   * Records kept of one bucket, whatever names a hostile member invents: whole buckets are sent, and a message must hold one besides.
   * Three times what the largest list has in each: chance makes none so full.
   */
  membersPerBucketMax: 256,
  /** Records in one message, about 0.25 KiB each: a list of 20,000 takes twelve. */
  membersPerMessage: 1800,
  /**
   * What a record may take at most, so that a message full of news, and one of buckets in it, are within `clusterRequestMaxBytes` though
   * all are as large: one address, and a zone and a region whose names are as long as may be, are 0.9 KiB.
   */
  memberRecordMaxBytes: 1 * KiB,
  /** Each member exchanges with a random one and with its successor this often (DESIGN, Members). */
  exchangeMs: 1 * second,
  /**
   * A member that was called and has given no sign of life for this long is suspected: it is called again this often, and others
   * are asked to look. An agent whose own announce has failed so long waits no longer either (`announceTimeoutMs`).
   */
  memberSilentMs: 1 * second,
  memberAgainMs: 0.5 * second,
  /**
   * After this long, and with a witness, it is dead: a second until it is called, this, and the news, are within 5 s (DESIGN). Who
   * was told of its silence so long ago is told again, since that may not have arrived.
   */
  memberDeadMs: 2.5 * second,
  /**
   * Between two members that are cautioned. So one that cautions 10,000 makes 200 calls a second, of each of which a connection is left
   * for `clusterIdleMs`; and who is cautioned by all of them at once spends 6 % of a core on it (`announceCostMs`).
   */
  cautionGapMs: 5,
  /** Who did not answer is told again after this time, as long as it is a member: by then that is known. */
  cautionAgainMs: 3 * second,
  /** A call may be answered this late: a lost SYN is sent again after 1 s and 3 s. */
  memberCallMs: 5 * second,
  /** News is gathered this long, then pushed to so many members at once, so many times: six messages reach 99.7 %. */
  newsMs: 150,
  newsTargets: 3,
  newsPushes: 2,
  /** More changes than this in one message are two lists meeting: the rounds carry them on, not pushes. */
  newsAtOnceMax: 64,
  /** A goodbye goes to more, as its sender can't repeat it. */
  goodbyeTargets: 5,
  /** A tick this late means that this process was held up: what it did not hear until then counts for nothing. */
  lagMs: 0.25 * second,
  /** A call's time is counted in such slices: one that ends late, on busy cores, counts as one. Ten of them are the shortest call's. */
  awakeSliceMs: 0.1 * second,
  /** How much the newest exchange counts for this agent's health, the last eight or so together. */
  healthWeight: 1 / 8,
  /** With a larger share of them late, others get more time, up to so many times; a sixth of all members may die at once. */
  healthyLateShare: 0.25,
  patienceMax: 4,
  /** With a larger one still, this agent accuses nobody. */
  doubtLateShare: 0.5,
  /** How long a witness's word counts, how long own contact outweighs the word that somebody is dead, and a false alarm is remembered. */
  accusationMs: 5 * second,
  contactFreshMs: 3 * second,
  falseAlarmMs: 1 * minute,
  /**
   * Who hears that it was taken for dead listens for `directoryLearnMs` before it grants: by the word of others alone, which may be
   * lies, this often, so that they take a fifteenth of its time at most.
   */
  missedEveryMs: 30 * second,
  /** Seeds are asked this often until the list agrees with one of them, then while nobody else is known, then for good measure. */
  seedEagerMs: 250,
  seedLonelyMs: 1 * second,
  seedIdleMs: 10 * second,
  /** One that is no live member is asked this often, by all members together. */
  seedMissingMs: 0.25 * second,
  /** A cluster whose seeds are all down for this long works without their word. */
  seedGraceMs: 10 * second,
  seedsMax: 3,
  /** The dead and the departed are remembered this long, so that a list that missed it does not bring them back. */
  departedKeptMs: 10 * minute,
  /** One of the departed is tried this often, so that a healed partition is noticed. */
  departedTryMs: 10 * second,
  /** Incarnations are times of day in milliseconds, raised by one now and then; they may be so far ahead of the time, however wrong clocks are. */
  incarnationMax: 2 ** 52,
  /** A zone's or region's name. */
  placeMaxLength: 253,

  // Cluster: messages of directory and members
  /** An announce of 128 digests at their largest takes 1.5 MiB, member records 1 MiB and at their largest just less than this. */
  clusterRequestMaxBytes: 4 * MiB,
  /**
   * Of all requests that are being read, to which each of a thousand connections would add as much: eight at their largest. Beyond, the
   * first of them give way.
   */
  clusterBodiesMaxBytes: 32 * MiB,
  /** What is read of a request that is refused: more than most requests take. */
  clusterDrainMaxBytes: 64 * KiB,
  /** Answers to 128 digests with neighbours and counts: 1.5 MiB usually, 13 MiB at their largest. */
  clusterAnswerMaxBytes: 16 * MiB,
  /**
   * Of all answers that their callers have not taken yet: four at their largest, or some forty usual ones to 128 digests. Beyond, the
   * first gives way of the address that has most.
   */
  clusterAnswersMaxBytes: 64 * MiB,
  /** An answer is taken within this time: callers give up after `announceTimeoutMaxMs`, in which they are awake. */
  clusterAnswerMs: 15 * second,
  /** Request headers: 0.6 KiB of ours. */
  clusterHeadersMaxBytes: 4 * KiB,
  /** Connections to the cluster listener: a thousand agents that announce here, twice over. */
  clusterConnectionsMax: 4096,
  /**
   * Those from one address, of which the first gives way: of 64 agents that share one, each with all that it may have
   * (`clusterConnectionsPerMember`).
   */
  clusterConnectionsPerHostMax: 512,
  /**
   * Those of them that wait to be let in, one a turn of the event loop. Node.js says 511 unless told otherwise, and a system takes no more
   * than its own limit (Linux: 4096); who finds no room there tries again a second later.
   */
  clusterBacklogMax: 4096,
  /** A request is there within this time; callers give up after `memberCallMs`. */
  clusterRequestMs: 5 * second,
  /** Idle connections are closed by the caller first, so that it never sends into one that is being closed. */
  clusterIdleMs: 15 * second,
  clusterKeepAliveMs: 30 * second,
  /** Connections to one member at a time: one announce, one exchange, news, and the small contents of a pull, which may wait there. */
  clusterConnectionsPerMember: 8,
  /** How long a token against replays is handed out; it is taken for as long again. */
  epochMs: 1 * minute,
  /** Nonces kept per epoch, some 100 bytes each; 3,000 messages a second would fill it in a minute. */
  noncesPerEpoch: 200_000,
  /** Runs of chunks that one announce names as being fetched, and leases that it gives back. */
  fetchRangesMax: 1024,
  /** A multiaddr: a DNS name of 253 and the rest. */
  addressMaxLength: 400,
  /** Recipients whose token and key are remembered. */
  recipientsMax: 20_000,
  /** How often the name of the seeds is looked up: while it gives none, then for good measure. */
  seedLookupMs: 2 * second,
  seedLookupIdleMs: 30 * second,
  /** How long one of the DNS servers that are named for it is waited for before the next is asked, and how often each is. */
  seedsDnsTimeoutMs: 1 * second,
  seedsDnsTries: 2,
  /** A departure has this long to reach others. */
  departureMs: 1 * second,
  /** The same trouble with a member is logged this often. */
  clusterWarnEveryMs: 1 * minute,

  // Kubernetes
  /** One call of the API, with all tries; the agent goes on without what it did not get. A connection within a cluster is made at once. */
  kubernetesMs: 15 * second,
  kubernetesConnectMs: 3 * second,
  /** The longest wait before such a try: a node's way to Services is there within seconds of its start. */
  kubernetesRetryMs: 2 * second,
  /** How often a DaemonSet is looked at while it is waited for. */
  daemonSetLookMs: 2 * second,
  /** How often it is looked which agents have become ready, whose nodes then lose their taint. */
  untaintLookMs: 2 * second,
} as const
