/** Reads in the log of nats-server why leaf links fail, and of which peer: what a person needs to mend them. */
import { keepNewest } from "../model/keep_newest.ts";
import { linkAccount } from "../model/names.ts";
import type { ServerLogLine } from "./server_log.ts";

/** Connections whose account is remembered: a link that fails makes one a second. */
const MAX_CONNECTIONS = 256;
/** Names in certificates are claims: anybody can make up as many as he likes. */
const MAX_NAMES = 64;
/** Failures of connections that nobody can be told of. */
const MAX_STRANGERS = 16;
const LINK_PREFIX = linkAccount("");
/** Addresses of peers that were tried. */
const MAX_TRIED = 1024;
/** A server dials again after a second, and says when it cannot; what it was refused for it tries again after thirty. */
const DIALS_WITHIN_MS = 45_000;
/**
 * After this it does not dial at all: a write that fails while a connection is made ends it without another one.
 * Source: nats-server 2.15.1 `server/client.go`, readLoop, which returns where the connection is gone already.
 */
const WRITE_ERROR = "Leafnode connection closed: Write Error";
const DIALS_AFTER_WRITE_ERROR_MS = 6000;

/** Why a connection failed. */
export interface LinkFailure {
  readonly at: Date;
  /** One line that says what is wrong and what to do. */
  readonly why: string;
}

/** A failure at our leaf port of somebody who did not say who it is. */
export interface StrangerFailure extends LinkFailure {
  readonly ip: string;
}

/** Follows the log. */
export class LinkLog {
  readonly #now: () => Date;
  /** Peer by connection, of links that we dial. */
  readonly #dialled = new Map<string, string>();
  readonly #failures = new Map<string, LinkFailure>();
  #strangers: readonly StrangerFailure[] = [];
  readonly #clock: () => number;
  /** By peer: its newest connection of those that we dial, and when that ended. */
  readonly #newest = new Map<string, { readonly connection: string; end: DialEnd | null }>();
  /** Lines and words that were taken: what came after what. */
  #count = 0;
  /** By address: when it was tried last, in vain, by that count. */
  readonly #tried = new Map<string, number>();

  /** @param clock milliseconds of a clock that never goes back */
  constructor(now: () => Date = () => new Date(), clock = () => performance.now()) {
    this.#now = now;
    this.#clock = clock;
  }

  /**
   * Whether the server has stopped to dial a peer: its connection has ended, and it has neither made another one since nor said that it
   * cannot. @param addresses of the peer, `host:port`
   */
  stoppedDialling(peer: string, addresses: readonly string[]): boolean {
    const end = this.#newest.get(peer)?.end ?? null;
    if (end === null || this.#clock() - end.at < end.patienceMs) return false;
    return addresses.every((address) => (this.#tried.get(address) ?? 0) < end.count);
  }

  /** The server was told to dial a peer anew: it has its time again. */
  dialledAnew(peer: string): void {
    const newest = this.#newest.get(peer);
    if (newest?.end != null) newest.end = this.#ended(DIALS_WITHIN_MS);
  }

  /** The last failure of a peer's link since it was up. */
  failure(peer: string): LinkFailure | null {
    return this.#failures.get(peer) ?? null;
  }

  /** The last failures at our leaf port that no peer can be told of, newest first. */
  get strangers(): readonly StrangerFailure[] {
    return this.#strangers;
  }

  /** The link stands: what was wrong is over. */
  cleared(peer: string): void {
    this.#failures.delete(peer);
  }

  /** One line of what the server has said before this log was followed: whom it dials, as if it had said so now. */
  recall({ message }: ServerLogLine): void {
    this.#followDials(message);
  }

  /** One line of the server's log. */
  take({ message }: ServerLogLine): void {
    const line = this.#followDials(message);
    if (line === null) return;
    const { address, text, dialled } = line;
    const ip = address.slice(0, address.lastIndexOf(":"));
    const peer = dialled ?? /\(CN=([a-z][a-z0-9-]*) SHA-256: /.exec(text)?.[1] ?? null;
    const why = whyFailed(text, dialled, peer, ip);
    if (why === null) return;
    const at = this.#now();
    if (peer !== null) {
      // "Closed" comes after the reason, and says less.
      const before = this.#failures.get(peer);
      const vague = text.startsWith("Leafnode connection closed");
      if (vague && before !== undefined && at.getTime() - before.at.getTime() < 1000) return;
      this.#failures.delete(peer);
      this.#failures.set(peer, { at, why });
      keepNewest(this.#failures, MAX_NAMES);
    } else {
      const others = this.#strangers.filter((one) => one.ip !== ip);
      this.#strangers = [{ at, why, ip }, ...others].slice(0, MAX_STRANGERS);
    }
  }

  /** @returns a line of a connection: with whom, what it says, and which peer we dialled with it; `null`: of nothing that may fail */
  #followDials(message: string): { address: string; text: string; dialled: string | null } | null {
    const found = /^(\S+) - lid:(\d+) - (.*)$/.exec(message);
    if (found === null) {
      const tried = /^Error trying to connect as leafnode to remote server "([^"]+)"/.exec(message)?.[1];
      if (tried !== undefined) this.#remember(this.#tried, tried, ++this.#count, MAX_TRIED);
      return null;
    }
    const [, address = "", connection = "", text = ""] = found;
    const account = /^Leafnode connection created for account: (\S+)/.exec(text)?.[1];
    if (account?.startsWith(LINK_PREFIX)) {
      const peer = account.slice(LINK_PREFIX.length);
      this.#remember(this.#dialled, connection, peer, MAX_CONNECTIONS);
      this.#remember(this.#newest, peer, { connection, end: null }, MAX_NAMES);
      return null;
    }
    const dialled = this.#dialled.get(connection) ?? null;
    if (dialled !== null && text.startsWith("Leafnode connection closed")) {
      const newest = this.#newest.get(dialled);
      const patienceMs = text.startsWith(WRITE_ERROR) ? DIALS_AFTER_WRITE_ERROR_MS : DIALS_WITHIN_MS;
      if (newest?.connection === connection) newest.end = this.#ended(patienceMs);
    }
    return { address, text, dialled };
  }

  #ended(patienceMs: number): DialEnd {
    return { at: this.#clock(), count: ++this.#count, patienceMs };
  }

  #remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
    map.delete(key);
    map.set(key, value);
    keepNewest(map, most);
  }
}

/** The end of a connection that we have dialled. */
interface DialEnd {
  /** By the clock that never goes back. */
  readonly at: number;
  /** What came before it and what after. */
  readonly count: number;
  /** How long the server may take to dial again. */
  readonly patienceMs: number;
}

/**
 * What the server's words mean. Source: nats-server `server/leafnode.go`, Go `crypto/tls` and `crypto/x509`.
 * @param dialled the peer, when the connection is one that we dial
 */
function whyFailed(text: string, dialled: string | null, peer: string | null, ip: string): string | null {
  const who = dialled ?? (peer === null ? `a site at ${ip}` : `the site at ${ip} that says it is ${peer}`);
  const handshake = /^TLS leafnode handshake error: (.*)$/.exec(text)?.[1];
  if (handshake !== undefined) return whyHandshake(handshake, dialled, who);
  if (dialled !== null && text.startsWith("Leafnode connection closed: TLS Handshake Failure")) {
    return `${who} does not answer in TLS: are its links plain (server.links), or is it another server at that address?`;
  }
  if (dialled !== null && text.startsWith("Leafnode connection closed: Read Error")) {
    return `${who} ends the connection after the handshake: its log says why; most often it does not trust the CA of this site ('leafmesh peer trust' there), or its links are plain`;
  }
  if (/minimum version|rejected due to minimum/i.test(text)) {
    return `${who} runs a nats-server that is too old, or takes ours for too old: ${text}`;
  }
  if (/^Leafnode Error 'Authorization Violation'/.test(text)) {
    return `${who} does not know our key: 'leafmesh peer add' there needs the one that 'leafmesh status' shows here`;
  }
  if (/maximum account active connections exceeded/.test(text)) {
    return `there is a link with ${who} already: a second one, with the same key, is refused`;
  }
  return null;
}

function whyHandshake(text: string, dialled: string | null, who: string): string | null {
  if (/has expired or is not yet valid/.test(text)) {
    const when = /current time (\S+) is (?:after|before) (\S+)/.exec(text);
    const times = when === null ? "" : ` (now ${when[1]}, limit ${when[2]})`;
    return `the certificate that ${who} shows has expired or is not yet valid${times}: it is renewed when the sidecar there runs; compare the clocks`;
  }
  if (/signed by unknown authority/.test(text)) {
    return `the certificate that ${who} shows is not of the CA that is trusted here: compare 'leafmesh ca show' there with 'leafmesh peer list' here, and tell this site with 'leafmesh peer trust'`;
  }
  if (
    /cannot validate certificate for|certificate is (?:not )?valid for|not valid for any names/.test(text)
  ) {
    return `the certificate that ${who} shows is not for the address that we dial (${text.replace(/ \(CN=.*$/, "")}): set server.advertise there to what we dial, or dial one of its names`;
  }
  if (/incompatible key usage/.test(text)) {
    return `the certificate that ${who} shows is not made for this end of a link`;
  }
  if (/client didn't provide a certificate/.test(text)) {
    return `${who} shows no certificate of a CA that is trusted here: is its CA known ('leafmesh peer trust'), and are its links TLS?`;
  }
  if (/first record does not look like a TLS handshake/.test(text)) {
    return dialled === null
      ? `${who} speaks plain, but links of this site are TLS: set server.links to the same at both`
      : `${who} answers without TLS, but links of this site are TLS: set server.links to the same at both`;
  }
  if (/remote error: tls: (?:bad certificate|unknown certificate authority|certificate unknown)/.test(text)) {
    return `${who} refuses the certificate of this site: its log says why; most often it does not know our CA, or dials another name than the certificate has`;
  }
  if (/remote error: tls: certificate required/.test(text)) {
    return `${who} wants a certificate of a CA that it trusts: 'leafmesh peer trust' there needs the CA of this site`;
  }
  if (/protocol version not supported|unsupported versions|no cipher suite/.test(text)) {
    return `${who} does not speak TLS 1.3: ${text}`;
  }
  if (/^EOF$|i\/o timeout|connection reset/.test(text)) {
    return dialled === null
      ? `${who} connected and said nothing in TLS: are its links plain, or was it no peer at all?`
      : `${who} does not answer in TLS: are its links plain, or is it another server at that address?`;
  }
  return `the TLS handshake with ${who} failed: ${text}`;
}
