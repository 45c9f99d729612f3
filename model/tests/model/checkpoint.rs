//! Checkpoints: written back as they came, refused whole when they do not fit.

use std::collections::HashMap;

use lethe_model::config::Tower;
use lethe_model::{Clip, ModelConfig, ModelError};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::reference::{bytes, clip, config, numbers, tiny};

#[test]
fn what_is_loaded_is_written_back_bit_for_bit_in_its_dtype() {
    for name in ["patch7", "full_vocabulary"] {
        let (came, went) = (bytes(name), clip(name).save().unwrap());
        let (came, went) = (SafeTensors::deserialize(&came).unwrap(), SafeTensors::deserialize(&went).unwrap());
        assert_eq!(came.len(), went.len());
        for (tensor_name, tensor) in came.iter() {
            assert_eq!(tensor, went.tensor(tensor_name).unwrap(), "{name}: {tensor_name}");
        }
    }
}

#[test]
fn a_saved_model_loads_again_and_saves_the_same_bytes() {
    let clip = Clip::init(&tiny(), 3).unwrap();
    let saved = clip.save().unwrap();
    let again = Clip::load(&tiny(), &saved).unwrap();
    assert_eq!(numbers(&again.flat()), numbers(&clip.flat()));
    assert_eq!(again.save().unwrap(), saved);
}

fn error(config: &ModelConfig, bytes: &[u8]) -> ModelError {
    Clip::load(config, bytes).unwrap_err()
}

#[test]
fn pickles_are_refused_with_the_way_to_convert() {
    for pickle in [b"PK\x03\x04\x00\x00\x08\x08\x00\x00".as_slice(), b"\x80\x02}q\x00X\x01\x00\x00\x00a".as_slice()] {
        let error = error(&tiny(), pickle);
        assert!(matches!(error, ModelError::Pickle), "{error}");
        assert!(error.to_string().contains("safetensors"), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

/// OpenAI's own files: torch.load refuses to open them without running code.
#[test]
fn a_torchscript_archive_is_told_from_other_pickles() {
    let archive = [b"PK\x03\x04".as_slice(), &[0; 100], b"model/constants.pklPK\x05\x06"].concat();
    let error = error(&tiny(), &archive);
    assert!(error.to_string().contains("torch.jit.load"), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
fn truncated_files_say_how_much_is_missing() {
    let whole = Clip::init(&tiny(), 3).unwrap().save().unwrap();
    for cut in [whole.len() - 1, whole.len() / 2, 100] {
        match error(&tiny(), &whole[..cut]) {
            ModelError::Truncated { have, want } => assert!(have == cut as u64 && want > have),
            other => panic!("{cut}: {other}"),
        }
    }
    match error(&tiny(), &whole[..whole.len() - 1]) {
        ModelError::Truncated { want, .. } => assert_eq!(want, whole.len() as u64),
        other => panic!("{other}"),
    }
}

#[test]
fn other_files_are_no_safetensors() {
    for bytes in [b"".as_slice(), b"abc".as_slice(), b"<html><body>404</body></html>".as_slice()] {
        assert!(matches!(error(&tiny(), bytes), ModelError::NotSafetensors(_)));
    }
    let mut longer = Clip::init(&tiny(), 3).unwrap().save().unwrap();
    longer.push(0);
    assert!(matches!(error(&tiny(), &longer), ModelError::NotSafetensors(_)));
}

#[test]
fn a_config_of_another_model_is_named_by_tensor() {
    let file = bytes("patch7");
    let mut deeper = config("patch7");
    let Tower::Vit(vit) = &mut deeper.vision.tower else { panic!("is a ViT") };
    vit.layers += 1;
    let message = error(&deeper, &file).to_string();
    assert!(message.starts_with("the checkpoint lacks 12 of 74 tensors, first \"visual."), "{message}");

    let mut flatter = config("patch7");
    flatter.text.layers -= 1;
    let message = error(&flatter, &file).to_string();
    assert!(message.contains("12 tensors that the config does not know, first \"transformer.resblocks.1"), "{message}");

    let mut wider = config("patch7");
    wider.text.vocab_size += 1;
    let message = error(&wider, &file).to_string();
    assert!(message.starts_with("tensor token_embedding.weight has shape [300, 32], the config wants [301, 32]"));
}

/// The tiny checkpoint with one tensor replaced, or one more.
fn altered(name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let whole = Clip::init(&tiny(), 3).unwrap().save().unwrap();
    let file = SafeTensors::deserialize(&whole).unwrap();
    let mut tensors: HashMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    tensors.insert(name.to_owned(), TensorView::new(dtype, shape.to_vec(), data).unwrap());
    safetensors::serialize(tensors, None).unwrap()
}

#[test]
fn strange_tensors_are_named() {
    let strange = altered("logit_bias", Dtype::F32, &[1], &[0; 4]);
    assert!(error(&tiny(), &strange).to_string().contains("SigLIP"));

    let whole = altered("logit_scale", Dtype::I64, &[], &[0; 8]);
    let message = error(&tiny(), &whole).to_string();
    assert_eq!(message, "tensor logit_scale has dtype I64, expected F32, F16, BF16 or F64; convert it");

    let broken = altered("logit_scale", Dtype::F32, &[], &f32::NAN.to_le_bytes());
    assert!(error(&tiny(), &broken).to_string().contains("tensor logit_scale holds NaN or infinity"));

    let scale = altered("logit_scale", Dtype::BF16, &[], &[0x80, 0x3f]);
    let clip = Clip::load(&tiny(), &scale).unwrap();
    assert_eq!(clip.logit_scale().double_value(&[]), 1.0);
    let saved = clip.save().unwrap();
    assert_eq!(SafeTensors::deserialize(&saved).unwrap().tensor("logit_scale").unwrap().data(), [0x80, 0x3f]);
}

#[test]
fn bad_checkpoints_are_fatal_faults() {
    let fault: lethe_common::fault::Fault = error(&tiny(), b"abc").into();
    assert!(fault.is_fatal());
}
