/** Invitations, joins and revocations as the API reports them. */

/** An invitation without its secret. */
export interface InvitationReport {
  readonly id: string;
  /** The site that is invited. */
  readonly site: string;
  readonly address: string;
  readonly createdAt: string;
  readonly expires: string;
  readonly by: string | null;
  /** `joining`: shown by a site, and not finished at both ends yet. */
  readonly state: "open" | "joining" | "used" | "expired" | "revoked";
  /** When the state began; of an open one when it was made. */
  readonly since: string;
  /** Site key that has used it. */
  readonly usedBy: string | null;
}

/** A new invitation; the token is shown this once. */
export interface Invited extends InvitationReport {
  readonly token: string;
}

/** Whom to invite, and for how long. */
export interface InviteRequest {
  readonly site: string;
  readonly ttlMs: number;
  /** Where the other site finds us; default: the leaf address that the site file advertises. */
  readonly address?: string;
  /** Who asks, where that is known. */
  readonly by?: string;
}

/** What a site that joins would trust. */
export interface JoinPreview {
  readonly site: string;
  readonly address: string;
  readonly key: string;
  /** SHA-256 of the CA's public key; `null` where links are plain. */
  readonly caFingerprint: string | null;
  readonly expires: string;
  /** Which side dials. */
  readonly dials: "this site" | "the inviting site";
  /** It is a peer already, with this key. */
  readonly known: boolean;
}

/** Which invitation to follow, and who dials. */
export interface JoinRequest {
  readonly token: string;
  /** Where the inviting site is to dial us, `host:port`; without it we dial. */
  readonly dialBack?: string;
}

/** A join, as far as it has got. */
export interface JoinReport extends JoinPreview {
  /** The link is up and the other side has proved its key. */
  readonly linked: boolean;
  /** From the inviting site's answer until then; until we stopped waiting when it is not linked. */
  readonly linkedMs: number;
}

/** What a revocation has done. */
export interface RevokeReport {
  readonly peer: string;
  readonly key: string;
  readonly at: string;
  /** Leaf connections that were cut. */
  readonly cut: number;
  /** From the call until the server had none any more. */
  readonly cutMs: number;
  /** The server has no connection of it now. */
  readonly gone: boolean;
  /** Invitations of that site that were closed with it. */
  readonly invitations: number;
}

/** Who becomes a peer by invitation, and who is one no more. */
export interface MembershipApi {
  /** Makes an invitation of a site. @throws {LeafmeshError} `conflict`, `request_invalid`, `too_large` */
  invite(request: InviteRequest): Promise<Invited>;
  /** Invitations that are open or were lately, the newest first. */
  invitations(): readonly InvitationReport[];
  /** Closes an invitation at once. @throws {LeafmeshError} `not_found`, `conflict` */
  revokeInvitation(id: string): Promise<void>;
  /** What joining would trust; changes nothing. @throws {LeafmeshError} `invitation_…`, `peer_revoked`, `conflict` */
  preview(request: JoinRequest): JoinPreview;
  /** Joins the site that an invitation is of. @throws as {@link preview}, and `peer_unreachable`, `peer_refused` */
  join(request: JoinRequest, signal?: AbortSignal): Promise<JoinReport>;
  /** Cuts the link with a peer at once and remembers its key. @throws {LeafmeshError} `not_found` */
  revoke(peer: string, by?: string): Promise<RevokeReport>;
  /** Takes back that keys were revoked, and makes a change that needs it; where that fails they stay revoked. */
  forgive<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>;
}
