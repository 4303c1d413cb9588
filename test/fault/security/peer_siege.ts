/** The world of a peer gone bad: tokyo's server is gone, and somebody speaks over TLS with its key and its certificate. */
import { jetstream } from "@nats-io/jetstream";
import { accountHash, MESH_ACCOUNT } from "../../../src/model/names.ts";
import type { RawLeafOptions } from "../../support/raw_leaf.ts";
import { type Attacker, arrives, besiege, publishes, type Siege } from "./attempt.ts";
import { leafOptions, PEER, Rogue, SITE } from "./rogue.ts";
import type { StolenIdentity, World } from "./world.ts";

export const HASH = accountHash(MESH_ACCOUNT);
export const HELD = new RegExp(`^${SITE}/MESH/out_acme/consumer/${PEER}/position$`);
export const DELIVERED = new RegExp(
  `^${SITE}/marked/MESH/mesh\\.(berlin\\.deliver\\.tokyo|tokyo\\.deliver\\.berlin)\\.`,
);
/** Facts that change when {@link catalogEvent} is published. */
export const CATALOG = [...publishes(SITE, "acme"), ...arrives(SITE, "acme", "austin"), HELD, DELIVERED];

/** A siege by the peer, with what it takes to link. */
export interface PeerSiege extends Siege {
  readonly link: (a: Attacker, connect?: Readonly<Record<string, unknown>>) => Promise<Rogue>;
  /** For a leaf connection by hand. */
  readonly options: () => Promise<RawLeafOptions>;
  readonly identity: () => StolenIdentity;
  /** What tokyo's server answered when it was asked to reset berlin's consumer. */
  readonly resetAnswer: () => string;
  /** Tries each subject over a link of its own: a violation closes it. */
  readonly tryEach: (a: Attacker, subjects: readonly string[], payload?: string) => Promise<string>;
}

/** Starts the world, has tokyo agree with berlin, and ends tokyo. */
export function besiegePeer(): PeerSiege {
  let identity: StolenIdentity | undefined;
  let answer = "";
  const siege = besiege({ mode: "tls" }, async (world) => {
    const { control } = world.at(PEER);
    answer = (await control.mesh.request("$JS.API.CONSUMER.RESET.out_acme.berlin", "")).string();
    identity = await world.abandon(PEER);
  });
  const stolen = () => {
    if (identity === undefined) throw new Error("The world has not started");
    return identity;
  };
  const link: PeerSiege["link"] = (a, connect = {}) => Rogue.link(a, stolen(), connect);
  return {
    ...siege,
    link,
    options: () => leafOptions(siege.world(), stolen()),
    identity: stolen,
    resetAnswer: () => answer,
    tryEach: async (a, subjects, payload) => {
      const said: string[] = [];
      for (const subject of subjects) {
        const rogue = await link(a);
        said.push(await rogue.trespass(subject, payload ?? a.mark));
        rogue.end();
      }
      return said.join("; ");
    },
  };
}

/** Publishes at berlin what tokyo may have. */
export async function catalogEvent(a: Attacker, w: World): Promise<void> {
  const nc = await w.at(SITE).site.app("acme");
  await jetstream(nc).publish("acme.catalog.new", a.mark);
  await nc.close();
}
