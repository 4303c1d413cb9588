/** Tells peers when what they are offered has changed. */
import { offersTo } from "./offers.ts";
import type { Planned } from "./reconcile.ts";

/** What each peer was offered last. */
export class OfferNews {
  readonly #poke: (peer: string) => void;
  /** As text, by peer. */
  readonly #offered = new Map<string, string>();

  /** @param poke has a peer ask again */
  constructor(poke: (peer: string) => void) {
    this.#poke = poke;
  }

  /** Pokes the peers whose offers have changed with this plan. */
  tell(peers: readonly { readonly name: string }[], planned: Planned): void {
    for (const name of this.#offered.keys())
      if (!peers.some((peer) => peer.name === name)) this.#offered.delete(name);
    for (const { name } of peers) {
      const text = JSON.stringify(offersTo(name, planned));
      if (this.#offered.get(name) === text) continue;
      this.#offered.set(name, text);
      this.#poke(name);
    }
  }
}
