//! Signatures by `ring`, which TLS brings anyway, for `jsonwebtoken`, which knows the formats.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding,
    RsaKeyPair, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{error::Unspecified, hmac};

/// Algorithms that a key may have.
pub(super) const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The library asks one provider per process. Only its keys' fingerprints need the other functions,
/// and we ask for none.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm.family() == key.family() {
        true => Ok(Box::new(RingSigner(*algorithm, key.clone()))),
        false => Err(unsupported()),
    },
    verifier_factory: |algorithm, key| match algorithm.family() == key.family() {
        true => Ok(Box::new(RingVerifier(*algorithm, key.clone()))),
        false => Err(unsupported()),
    },
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
        compute_digest: |_, _| Err(unsupported()),
    },
};

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

/// Tells the library to use `ring`. Every way to a key leads through here first.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    // A program around us may have chosen another provider; then that one counts.
    INSTALLED.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

struct RingVerifier(Algorithm, DecodingKey);

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let Self(algorithm, key) = self;
        let verified = match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let parameters = rsa(*algorithm).ok_or_else(signature::Error::new)?;
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            DecodingKeyKind::SecretOrDer(bytes) => match hmac(*algorithm) {
                // Compares in constant time.
                Some(hash) => hmac::verify(&hmac::Key::new(hash, bytes), message, signed),
                None => {
                    let public = public(*algorithm).ok_or_else(signature::Error::new)?;
                    UnparsedPublicKey::new(public, bytes).verify(message, signed)
                }
            },
        };
        verified.map_err(|Unspecified| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

struct RingSigner(Algorithm, EncodingKey);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let Self(algorithm, key) = self;
        let signed = match algorithm {
            Algorithm::RS256 => sign_rsa(&RSA_PKCS1_SHA256, key, message),
            Algorithm::PS256 => sign_rsa(&RSA_PSS_SHA256, key, message),
            Algorithm::ES256 => sign_ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, key, message),
            Algorithm::ES384 => sign_ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, key, message),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes())
                .map(|pair| pair.sign(message).as_ref().to_vec())
                .ok(),
            algorithm => hmac(*algorithm)
                .map(|hash| hmac::sign(&hmac::Key::new(hash, key.as_bytes()), message).as_ref().to_vec()),
        };
        signed.ok_or_else(signature::Error::new)
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

fn sign_rsa(encoding: &'static dyn RsaEncoding, key: &EncodingKey, message: &[u8]) -> Option<Vec<u8>> {
    let bytes = key.as_bytes();
    // PKCS #8, or the older form that is RSA's own.
    let pair = RsaKeyPair::from_pkcs8(bytes).or_else(|_| RsaKeyPair::from_der(bytes)).ok()?;
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signed).ok()?;
    Some(signed)
}

fn sign_ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    key: &EncodingKey,
    message: &[u8],
) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_bytes(), &random).ok()?;
    Some(pair.sign(&random, message).ok()?.as_ref().to_vec())
}

fn hmac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::PS256 => Some(&RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

fn public(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&ED25519),
        algorithm => rsa(algorithm).map(|parameters| parameters as &dyn VerificationAlgorithm),
    }
}
