/** What is kept of rotations in the state bucket: the last of each kind of this site, and the last that each peer has told of. */
import type { JetStreamClient } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { z } from "zod";
import { STATE_BUCKET, stateKey } from "../../model/names.ts";
import { HeardRotation, Rotation, type RotationKind } from "../../model/rotation.ts";

export class RotationStore {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async open(js: JetStreamClient): Promise<RotationStore> {
    return new RotationStore(await new Kvm(js).open(STATE_BUCKET));
  }

  async rotation(what: RotationKind): Promise<Rotation | null> {
    return await this.#read(stateKey.rotation(what), Rotation);
  }

  async putRotation(rotation: Rotation): Promise<void> {
    await this.#kv.put(stateKey.rotation(rotation.what), JSON.stringify(rotation));
  }

  async heard(peer: string): Promise<HeardRotation | null> {
    return await this.#read(stateKey.heardRotation(peer), HeardRotation);
  }

  async putHeard(peer: string, heard: HeardRotation): Promise<void> {
    await this.#kv.put(stateKey.heardRotation(peer), JSON.stringify(heard));
  }

  /** What nobody can read is not there: a rotation begins anew, and trust is checked by itself. */
  async #read<T extends z.ZodType>(key: string, schema: T): Promise<z.infer<T> | null> {
    const entry = await this.#kv.get(key);
    if (entry === null || entry.operation !== "PUT") return null;
    const parsed = schema.safeParse(JSON.parse(entry.string()));
    return parsed.success ? parsed.data : null;
  }
}
