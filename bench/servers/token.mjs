// Tokens as all servers here get them: JWT with HS256.
import { createHmac, timingSafeEqual } from 'node:crypto';

/** The user of a token; throws when the signature is wrong or the token has expired. */
export function verify(token, secret) {
  const [header, payload, signature] = token.split('.');
  const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error('invalid token');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  if (claims.exp < Date.now() / 1000) throw new Error('expired token');
  return claims.sub;
}
