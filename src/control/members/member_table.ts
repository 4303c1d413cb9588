/** The members' bucket as one member reads and writes it. Reads go to the bucket's leader: a late answer must not look like a dead member. */
import {
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  StorageType,
} from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { MEMBERS_BUCKET, memberKey, memberOfKey } from "../../model/names.ts";
import { isMessageNotFound, isUnserved, isWrongSequence } from "../../nats/jetstream_errors.ts";
import { Heartbeat, Lease, MEMBER_TIMES } from "./heartbeat.ts";

const STREAM = `KV_${MEMBERS_BUCKET}`;
const PREFIX = `$KV.${MEMBERS_BUCKET}.`;

/** A value with the revision of its key. */
export interface Stored<T> {
  readonly revision: number;
  readonly value: T;
}

export class MemberTable {
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #replicas: () => number;

  private constructor(js: JetStreamClient, jsm: JetStreamManager, replicas: () => number) {
    this.#js = js;
    this.#jsm = jsm;
    this.#replicas = replicas;
  }

  /** @param replicas of the bucket, where it is made */
  static async open(nc: NatsConnection, replicas: () => number): Promise<MemberTable> {
    const timeout = MEMBER_TIMES.requestMs;
    const jsm = await jetstreamManager(nc, { timeout, checkAPI: false });
    return new MemberTable(jetstream(nc, { timeout }), jsm, replicas);
  }

  /** @throws when the bucket cannot be read, or the lease is of no known shape */
  async lease({ make = true } = {}): Promise<Stored<Lease> | null> {
    return await this.#get(memberKey.leader, (json) => Lease.parse(json), make);
  }

  async heartbeat(name: string): Promise<Stored<Heartbeat> | null> {
    return await this.#get(memberKey.member(name), (json) => Heartbeat.parse(json));
  }

  /** Names of all members that have a heartbeat here, whether or not they live. */
  async names(): Promise<string[]> {
    const { state } = await this.#made(() => this.#jsm.streams.info(STREAM, { subjects_filter: ">" }));
    return Object.keys(state.subjects ?? {}).flatMap((subject) => {
      const name = memberOfKey(subject.slice(PREFIX.length));
      return name === null ? [] : [name];
    });
  }

  /** Writes behind a revision, 0 for a new key. @returns the new one; `null` when another one was faster */
  async put(key: string, value: Heartbeat | Lease, behind: number): Promise<number | null> {
    const body = JSON.stringify(value);
    const expect = { lastSubjectSequence: behind };
    try {
      return (await this.#made(() => this.#js.publish(`${PREFIX}${key}`, body, { expect }))).seq;
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      // What somebody has deleted by hand has left a mark, behind which nothing new would ever stand.
      if (behind === 0 && (await this.#isMark(key))) await this.#purge(key);
      return null;
    }
  }

  /** Removes a heartbeat for good. */
  async remove(name: string): Promise<void> {
    await this.#purge(memberKey.member(name));
  }

  async #isMark(key: string): Promise<boolean> {
    const last = await this.#jsm.streams.getMessage(STREAM, { last_by_subj: `${PREFIX}${key}` });
    return last !== null && last.data.length === 0;
  }

  async #purge(key: string): Promise<void> {
    await this.#jsm.streams.purge(STREAM, { filter: `${PREFIX}${key}` });
  }

  async #get<T>(key: string, parse: (json: unknown) => T, make = true): Promise<Stored<T> | null> {
    try {
      const query = { last_by_subj: `${PREFIX}${key}` };
      const read = () => this.#jsm.streams.getMessage(STREAM, query);
      const message = await (make ? this.#made(read) : read());
      if (message === null || message.data.length === 0) return null;
      return { revision: message.seq, value: parse(message.json()) };
    } catch (error) {
      if (isMessageNotFound(error)) return null;
      throw error;
    }
  }

  /** A server that was started anew has no bucket any more: it is made, and the work done again. */
  async #made<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // Publishing into no stream is answered by nobody.
      if (!isUnserved(error)) throw error;
      await new Kvm(this.#js).create(MEMBERS_BUCKET, {
        history: 1,
        storage: StorageType.Memory,
        replicas: this.#replicas(),
        allow_direct: false,
      });
      return await work();
    }
  }
}
