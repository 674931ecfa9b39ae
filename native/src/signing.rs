//! Making signatures and public keys. It is not hardened against timing.

use crate::combs::generator_comb;
use crate::felts::{read_felt, Malformed, FELT_BYTES};
use crate::points::to_affine;
use crate::scalars::{is_bounded, read_bounded, read_scalar, Scalar};
use lambdaworks_math::traits::ByteConversion;
use starknet_crypto::rfc6979_generate_k;
use starknet_types_core::felt::Felt;

const KEY_RANGE: Malformed = Malformed("a private key is in 1 .. curve order - 1");
const HASH_RANGE: Malformed = Malformed("a message hash is in 1 .. 2^251 - 1");

/// Return r and s; deterministic by RFC 6979, with a growing seed where a try does not fit.
pub fn sign(private_key: &[u8], message_hash: &[u8]) -> Result<Vec<u8>, Malformed> {
    let key = read_private_key(private_key)?;
    let hash = read_bounded(message_hash).ok_or(HASH_RANGE)?;
    let (key_felt, hash_felt) = (read_felt(private_key)?, read_felt(message_hash)?);
    let mut seed: Option<Felt> = None;
    loop {
        let nonce = rfc6979_generate_k(&hash_felt, &key_felt, seed.as_ref());
        if let Some(signature) = sign_with(&key, &hash, &nonce) {
            return Ok(signature);
        }
        seed = Some(seed.unwrap_or(Felt::ZERO) + Felt::ONE);
    }
}

fn sign_with(key: &Scalar, hash: &Scalar, nonce: &Felt) -> Option<Vec<u8>> {
    let nonce = read_scalar(&nonce.to_bytes_be())?;
    let r_bytes = x_of_multiple(&nonce);
    let r = read_bounded(&r_bytes)?;
    let s = (r * *key + *hash) * nonce.inv().ok()?;
    (s != Scalar::zero() && is_bounded(&s)).then(|| [r_bytes.to_vec(), s.to_bytes_be()].concat())
}

/// Return the x of a private key's point.
pub fn public_key(private_key: &[u8]) -> Result<Vec<u8>, Malformed> {
    Ok(x_of_multiple(&read_private_key(private_key)?).to_vec())
}

fn x_of_multiple(scalar: &Scalar) -> [u8; FELT_BYTES] {
    let points = to_affine(&[generator_comb().times(scalar)]);
    points
        .first()
        .map_or([0; FELT_BYTES], |point| point.x.to_bytes_be())
}

fn read_private_key(bytes: &[u8]) -> Result<Scalar, Malformed> {
    let bytes: &[u8; FELT_BYTES] = bytes.try_into().map_err(|_| KEY_RANGE)?;
    let scalar = read_scalar(bytes).ok_or(KEY_RANGE)?;
    match scalar == Scalar::zero() {
        true => Err(KEY_RANGE),
        false => Ok(scalar),
    }
}
