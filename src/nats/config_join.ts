/** The account that an invitation opens for as long as it is: one leaf connection that can ask one thing. */
import type { OpenInvitation } from "../model/desired.ts";
import { joinAccount, joinAnswerSubject, joinSubject, MESH_ACCOUNT } from "../model/names.ts";
import type { Crossing } from "./config_accounts.ts";
import type { ConfMap } from "./config_text.ts";

/** Largest message of who joins. */
export const JOIN_MAX_BYTES = 64 * 1024;
/** The answer's subject, and what the server subscribes for itself. */
export const JOIN_MAX_SUBSCRIPTIONS = 8;

/** The one subject of MESH that the account reaches. */
export function joinCrossing(site: string, { id }: OpenInvitation): Crossing {
  return { type: "service", from: MESH_ACCOUNT, to: joinAccount(id), subject: joinSubject(site, id) };
}

/** The token's user: a leaf connection that may ask, and hear the answer. */
export function joinUser(site: string, { id, key }: OpenInvitation): ConfMap {
  return {
    nkey: key,
    allowed_connection_types: ["LEAFNODE"],
    permissions: {
      publish: { allow: [joinSubject(site, id)] },
      subscribe: { allow: [joinAnswerSubject(site, id)] },
    },
  };
}
