/** What this site's links are made of, as far as an invitation needs it. */
export interface LinkTrust {
  /** Leaf address that others can dial, `host:port`; `null` when only a listener on all addresses is known. */
  readonly address: string | null;
  /** Hosts that the certificate of the links is good for; absent: it does not matter. */
  readonly hosts?: readonly string[];
  /** How many servers this site is, where they are several: each of them dials. */
  readonly servers?: number;
  /** `null`: links are plain. */
  readonly tls: LinkCa | null;
}

/** The site's own CA. */
export interface LinkCa {
  readonly caPem: string;
  /** SHA-256 of the public key, hex. */
  readonly fingerprint: string;
  /** A certificate for one who may connect for a while, with its key. PEM. */
  issueClient(options: {
    readonly commonName: string;
    readonly ttlMs: number;
  }): Promise<{ readonly certPem: string; readonly keyPem: string }>;
}

/** The URL that a site is dialled by. */
export function dialUrl(address: string, tls: boolean): string {
  return `${tls ? "tls" : "nats-leaf"}://${address}`;
}
