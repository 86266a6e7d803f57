# How every library, program and test of bitwright is made: one place for warnings, sanitizers and the numerical contract.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers carry time stamps; without these ccache would refuse every file that uses one.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

function(bitwright_compile_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  # -ffp-contract=off: a product and a sum stay two roundings, so results do not depend on where the compiler found an FMA.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -ffp-contract=off)
  if(BITWRIGHT_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${BITWRIGHT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${BITWRIGHT_SANITIZE})
  endif()
endfunction()

# bitwright_unite(TARGET [SOURCES…]): several sources are compiled as one, which shortens a first build. SOURCES stay alone: they name things
# in their anonymous namespaces as another source of the target does.
function(bitwright_unite target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  if(ARGN)
    set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# bitwright_layer(NAME [PUBLIC libs…] [PRIVATE libs…]): one folder = one namespace = one library `bitwright_NAME`.
function(bitwright_layer name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/bitwright/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_library(bitwright_${name} STATIC ${sources})
  add_library(bitwright::${name} ALIAS bitwright_${name})
  target_include_directories(bitwright_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(bitwright_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  bitwright_compile_settings(bitwright_${name})
endfunction()
