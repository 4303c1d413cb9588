/** Until when certificates are good, and which of them must be seen to. Pure. */
import { type CertificateInfo, describeCertificate, splitPem } from "../../model/certificate.ts";
import type { Peer } from "../../model/schema/site.ts";

const DAY_MS = 24 * 3_600_000;
/** CAs are exchanged by people or by a rotation: they are told of this long before. */
export const WARN_CA_MS = 30 * DAY_MS;

/** A certificate and what is to be done about it. */
export interface WatchedCertificate {
  readonly kind: "ca" | "link" | "peer_ca";
  readonly peer: string | null;
  readonly fingerprint: string;
  readonly notAfter: string;
  readonly problem: string | null;
}

/** All certificates of a site and of those whom it trusts. */
export function watchCertificates(
  own: { readonly ca: CertificateInfo; readonly link: CertificateInfo; readonly renewAt: Date },
  peers: readonly Peer[],
  now: Date,
): WatchedCertificate[] {
  const leftMs = ({ notAfter }: CertificateInfo) => notAfter.getTime() - now.getTime();
  const state = (info: CertificateInfo) => {
    const left = leftMs(info);
    return left <= 0
      ? `has expired at ${info.notAfter.toISOString()}`
      : `expires in ${Math.ceil(left / DAY_MS)} days, at ${info.notAfter.toISOString()}`;
  };
  const entry = (
    kind: WatchedCertificate["kind"],
    peer: string | null,
    info: CertificateInfo,
    problem: string | null,
  ): WatchedCertificate => ({
    kind,
    peer,
    fingerprint: info.fingerprint,
    notAfter: info.notAfter.toISOString(),
    problem,
  });
  const { ca, link, renewAt } = own;
  // It is made anew when its time has come; what is still there a good while later was not.
  const late = now.getTime() - renewAt.getTime() > (link.notAfter.getTime() - renewAt.getTime()) / 4;
  return [
    entry(
      "ca",
      null,
      ca,
      leftMs(ca) > WARN_CA_MS
        ? null
        : `the CA of this site ${state(ca)}: 'leafmesh peer rotate --site-ca' makes a new one and tells the peers`,
    ),
    entry(
      "link",
      null,
      link,
      late ? `the certificate of the links ${state(link)} and was not renewed: see the log` : null,
    ),
    ...peers.flatMap((peer) =>
      splitPem(peer.ca ?? "").map((pem) => {
        const info = describeCertificate(pem);
        const problem =
          leftMs(info) > WARN_CA_MS
            ? null
            : `the CA of ${peer.name} ${state(info)}: 'leafmesh peer rotate --site-ca' there makes a new one and tells this site`;
        return entry("peer_ca", peer.name, info, problem);
      }),
    ),
  ];
}
