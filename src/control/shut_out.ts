/** Who is let in by one state and not by the next: users, and links of peers and of invitations. */
import { splitPem } from "../model/certificate.ts";
import { currentUsers, type DesiredState } from "../model/desired.ts";
import { joinAccount, linkAccount } from "../model/names.ts";
import { dialUrls, type Peer } from "../model/schema/site.ts";
import { loginOf, type TenantUser } from "../model/schema/user.ts";

/** A state, and the moment when its users were let in: some are for a time. */
export interface LetIn {
  readonly state: DesiredState;
  readonly at: Date;
}

/** A user that a server lets in. */
export interface ServerUser {
  readonly tenant: string;
  readonly name: string;
  /** What tells the server who it is: another one under the same name is another user. */
  readonly credential: string;
  /** What the server calls a connection of it. */
  readonly login: string;
}

/** The users of all tenants. */
export function usersOf({ tenants }: DesiredState): ServerUser[] {
  return tenants.flatMap(({ name: tenant, users }) =>
    users.map((user) => ({
      tenant,
      name: user.name,
      credential: credentialOf(tenant, user),
      login: loginOf(tenant, user),
    })),
  );
}

/** What tells the server who a user is: see {@link ServerUser}. */
export function credentialOf(tenant: string, user: TenantUser): string {
  return `${loginOf(tenant, user)} ${user.passwordHash ?? ""}`;
}

/** Users that may be let in by any of these, and are not by a state. */
export function goneUsers(possible: readonly LetIn[], state: DesiredState, at: Date): readonly ServerUser[] {
  const wanted = new Set(usersOf(currentUsers(state, at)).map(({ credential }) => credential));
  const had = possible.flatMap((one) => usersOf(currentUsers(one.state, one.at)));
  const gone = had.filter(({ credential }) => !wanted.has(credential));
  return [...new Map(gone.map((user) => [user.credential, user])).values()];
}

/** Accounts whose leaf connections may be by what one state trusts and the next does not. */
export function cutAccounts(before: DesiredState, after: DesiredState): readonly string[] {
  const peers = before.peers.filter((peer) => {
    const now = after.peers.find(({ name }) => name === peer.name);
    return now === undefined || isCut(peer, now);
  });
  const open = new Set(after.invitations?.map(({ id }) => id));
  const invitations = (before.invitations ?? []).filter(({ id }) => !open.has(id));
  return [...peers.map(({ name }) => linkAccount(name)), ...invitations.map(({ id }) => joinAccount(id))];
}

/** Whether a link that stands may stand no longer: it may be by a key or a CA that is trusted no more. */
function isCut(before: Peer, now: Peer): boolean {
  const trusted = splitPem(now.ca ?? "");
  // Who is dialled shows its CA's certificate, not its key.
  const promoted = now.dial !== undefined && now.key === before.nextKey;
  return (
    (now.key !== before.key && !promoted) ||
    dialUrls(now).join() !== dialUrls(before).join() ||
    splitPem(before.ca ?? "").some((ca) => !trusted.includes(ca))
  );
}
