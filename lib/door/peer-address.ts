/** The identity of a client: an address, or an IPv6 network as customers get them (RFC 6177). */
export function peerOf(address: string = ''): string {
  const [, v4] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  // a copy: the text may be a part of a head, which an account would keep
  if (v4 !== undefined || !address.includes(':')) return Buffer.from(v4 ?? address).toString();
  const [head = '', tail = ''] = address.split('::', 2).map((part) => part.replace(/%.*/, ''));
  const groups = head.split(':');
  const missing = address.includes('::') ? 8 - groups.length - (tail === '' ? 0 : tail.split(':').length) : 0;
  const all = [
    ...(head === '' ? ['0'] : groups),
    ...Array<string>(Math.max(0, missing)).fill('0'),
    ...tail.split(':'),
  ];
  return all.slice(0, 4).join(':');
}
